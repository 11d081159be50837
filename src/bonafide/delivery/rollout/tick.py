"""One look at an open rollout: measure, decide, and commit what changes with the evidence for it."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bonafide.delivery.checkout import Checkout, checkout
from bonafide.delivery.promote import ATTEMPTS, follow
from bonafide.delivery.repository import (
    PACKAGE_DIGEST,
    ROLLED_BACK,
    SERVICE,
    folder_of,
    message,
    package_digest,
)
from bonafide.delivery.rollout.decide import Decision, Evidence, Rollout, Verdict, decide, has_baked
from bonafide.delivery.rollout.measure import harm_by_window, measure, pods
from bonafide.delivery.rollout.replay import Replayer, findings, summary
from bonafide.delivery.rollout.samples import Samples
from bonafide.delivery.rollout.settings import DARK
from bonafide.delivery.rollout.state import read_rollout
from bonafide.delivery.service import Service
from bonafide.errors import BonafideError, DeliveryError
from bonafide.files import lock
from bonafide.home import home, without_secrets

SUBJECTS = {
    Verdict.ADVANCE: "Advance {task} version {canary} in {environment} to {weight} %",
    Verdict.FINISH: "Finish the rollout of {task} version {canary} in {environment}",
    Verdict.ROLL_BACK: "Roll back {task} version {canary} in {environment}",
}


@dataclass(frozen=True)
class Judge:
    """What a rollout is judged by.

    Args:
        samples: of the service's predictors.
        replayer: asks both versions in the dark step; without it that step waits.
    """

    samples: Samples
    replayer: Replayer | None = None


def tick(place: str, environment: str, task: str, judge: Judge, now: datetime) -> Decision | None:
    """Look at a rollout once, and commit at most one change to the delivery repository at ``place``.

    All state is in Git and in the samples: a look that was killed is made good by the next, and of two at
    once the second sees what the first did.

    Returns:
        what was decided; None if no rollout is open.

    Raises:
        ConfigError: ``rollout.yaml`` is not valid.
        DeliveryError: the samples or the repository cannot be reached, or hold what is not understood.
    """
    with lock(home() / "promote.lock"), checkout(place) as delivery:
        for _ in range(ATTEMPTS):
            found = read_rollout(delivery, environment, task)
            if found is None:
                follow(delivery, task)
                return None
            rollout, service = found
            evidence, measured, trouble = _try(task, judge, rollout, now)
            decision = decide(rollout, evidence, now)
            if decision.verdict is Verdict.HOLD:
                if trouble:
                    raise trouble
                return decision
            record = _record(rollout, evidence, decision, now) | measured
            _apply(service, decision, record["pods"])
            _commit(delivery, environment, task, rollout, service, decision, record)
            if delivery.publish():
                if decision.verdict is Verdict.FINISH:
                    follow(delivery, task)
                return decision
    raise DeliveryError(f"{without_secrets(place)} moved {ATTEMPTS} times meanwhile; look again")


def _try(
    task: str, judge: Judge, rollout: Rollout, now: datetime
) -> tuple[Evidence, dict[str, Any], BonafideError | None]:
    """What is measured; where nothing can be, a deadline must pass all the same."""
    try:
        return *_measure(task, judge, rollout, now), None
    except BonafideError as error:
        return Evidence((), None, blind=True), {"trouble": str(error), "pods": 0}, error


def _measure(task: str, judge: Judge, rollout: Rollout, now: datetime) -> tuple[Evidence, dict[str, Any]]:
    """The evidence, and the counts that it was made from."""
    evidence, compared = measure(judge.samples, rollout, now)
    running = {"pods": pods(judge.samples, rollout, now)}
    if rollout.weight == DARK and judge.replayer and has_baked(rollout, evidence.ready, now):
        replays = judge.replayer.replay(task, rollout)
        points = rollout.settings.margins.label_points
        return replace(evidence, findings=findings(replays, points)), running | {"replays": summary(replays)}
    counts = {"compared": [each.told() for each in compared], "harm_by_window": harm_by_window(compared)}
    return evidence, running | counts


def _record(rollout: Rollout, evidence: Evidence, decision: Decision, now: datetime) -> dict[str, Any]:
    settings = rollout.settings
    return {
        "verdict": decision.verdict,
        "why": decision.why,
        "at": now.isoformat(),
        "stable": rollout.stable,
        "canary": rollout.canary,
        "weight": {"before": rollout.weight, "after": decision.weight},
        "steps": [step.isoformat() for step in rollout.steps],
        "began": rollout.began.isoformat(),
        "ready": evidence.ready and evidence.ready.isoformat(),
        "requests": {"canary": evidence.requests[0], "stable": evidence.requests[1]},
        "formula": "evidence is in natural logarithms; docs/reference/rollout.md",
        "harm": {"evidence": evidence.harm, "rolls_back_at": -math.log(settings.alpha)},
        "advances_at": -math.log(settings.advance_alpha),
        "checks": [asdict(finding) for finding in evidence.findings],
    }


def _lines(record: Mapping[str, Any]) -> str:
    """JSON with a line for each key, and for each check: windows are many, and people read the rest."""
    lines = (f"{json.dumps(key)}: {_value(value)}" for key, value in record.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _value(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n " + ",\n ".join(map(json.dumps, value)) + "\n]"
    return json.dumps(value)


def _apply(service: Service, decision: Decision, running: int) -> None:
    if decision.verdict is Verdict.FINISH:
        service.finish()
    elif decision.verdict is Verdict.ROLL_BACK:
        service.drop()
    else:
        service.weigh(decision.weight, running)


def _commit(
    delivery: Checkout,
    environment: str,
    task: str,
    rollout: Rollout,
    service: Service,
    decision: Decision,
    record: Mapping[str, Any],
) -> None:
    folder, verdict = folder_of(environment, task), decision.verdict
    began = f"{rollout.since:%Y%m%dT%H%M%SZ}"
    evidence = Path(
        "evidence", f"{began}-v{rollout.canary}-{rollout.weight}-{verdict.replace(' ', '-')}.json"
    )
    about = {"task": task, "environment": environment, "canary": rollout.canary, "weight": decision.weight}
    trailers = {
        "Model-Version": f"{task}/{rollout.canary}",
        "Verdict": f"{verdict}: {decision.why}",
        "Evidence": evidence.as_posix(),
        "Environment": environment,
    }
    if verdict is Verdict.ROLL_BACK:
        trailers[ROLLED_BACK] = package_digest(delivery, environment, task, rollout.canary)
    elif verdict is Verdict.FINISH:
        trailers[PACKAGE_DIGEST] = package_digest(delivery, environment, task, rollout.canary)
    files = {folder / SERVICE: service.text, folder / evidence: _lines(record)}
    delivery.change(files, message(SUBJECTS[verdict].format(**about), trailers))
