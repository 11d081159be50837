"""Whether training begins: what was found, what the task asks, and what there is to learn."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, cast, get_args

from bonafide import home
from bonafide.config import Config, read
from bonafide.drift.check import DRIFT, Found, read_found
from bonafide.drift.metrics import inspection
from bonafide.errors import ConfigError
from bonafide.feedback.inspections import AHEAD, Inspection, Inspections, Past
from bonafide.feedback.store import opened
from bonafide.monitoring.learn import confirmed, with_feedback
from bonafide.monitoring.quality import Quality, read_quality
from bonafide.task import Monitoring, Task

Wish = Literal["due", "always", "never"]
"""When a run of the pipeline is to train."""


class Decision(Config):
    """``decision.json``: whether training begins, why or why not, and the sources that it reads."""

    retrain: bool
    why: str
    sources: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Situation:
    """All that :func:`decide` looks at.

    Attributes:
        floor: the accuracy that the gate asks for.
        data: digest of the confirmed feedback; empty without any.
        newest: when the last of it was confirmed.
    """

    found: Found
    quality: Quality
    floor: float
    data: str
    newest: datetime | None
    past: Past
    now: datetime


def decide(seen: Situation, settings: Monitoring, wish: Wish = "due") -> tuple[bool, str]:
    """Whether training begins, and why or why not, for people.

    It begins once in a while; for drift and a fall of quality only where people confirmed something since.
    """
    if wish == "always":
        return True, "it was asked for"
    old, found = _age(seen, settings), list(_reasons(seen, settings))
    reasons = "; ".join(filter(None, (old, *found)))
    if not reasons:
        return False, f"nothing calls for it: {_calm(seen)}"
    if wish == "never":
        return False, f"{reasons}; but this run only looks"
    hindrance = _rest(seen, settings) or ("" if old else _nothing_new(seen))
    return not hindrance, f"{reasons}; but {hindrance}" if hindrance else reasons


def _reasons(seen: Situation, settings: Monitoring) -> Iterator[str]:
    if seen.found.looks_changed:
        yield f"what version {seen.found.version} is asked about looks different"
    elif _found_before(seen, settings):
        yield f"the look before found that what version {seen.found.version} is asked about looks different"
    if seen.quality.is_below(seen.floor, settings.reviews):
        yield (
            f"its accuracy on {seen.quality.reviewed:,} reviewed inputs is {seen.quality.accuracy}, "
            f"below the gate's {seen.floor:g}"
        )


def _found_before(seen: Situation, settings: Monitoring) -> bool:
    """An alert is about the look before, whose predictions are partly those of this one."""
    before = seen.past.newest
    return (
        before is not None
        and (before.kind, before.version) == ("looks", seen.found.version)
        and abs(seen.now - before.time) < timedelta(hours=settings.hours)
    )


def _age(seen: Situation, settings: Monitoring) -> str:
    days = (seen.now - datetime.fromisoformat(seen.found.created)) / timedelta(days=1)
    if settings.oldest_days and days >= settings.oldest_days:
        return f"version {seen.found.version} is {days:.0f} days old"
    return ""


def _rest(seen: Situation, settings: Monitoring) -> str:
    """Clocks of several machines may differ, or be set back."""
    last = next(iter(seen.past.trainings), None)
    hours = abs(seen.now - last.time) / timedelta(hours=1) if last else settings.rest_hours
    if hours < settings.rest_hours:
        return (
            f"training began {hours:.1f} hours ago, and rests for {settings.rest_hours:g}; "
            "--retrain always does not wait"
        )
    return ""


def _nothing_new(seen: Situation) -> str:
    """A training that was killed or refused left the version as it was, and is tried once again.

    Whoever confirms and whoever trains may have clocks that differ.
    """
    if not seen.data:
        return "nobody confirmed the label of an input that is kept, so there is nothing new to learn"
    last = next(iter(seen.past.trainings), None)
    if last is None or (last.data != seen.data and seen.newest and seen.newest > last.time - AHEAD):
        return ""
    tried = [(each.version, each.data) for each in seen.past.trainings]
    stayed = seen.past.since <= {seen.found.version}
    if stayed and last.data == seen.data and tried.count((seen.found.version, seen.data)) == 1:
        return ""
    return f"nobody confirmed anything since training began at {last.time:%Y-%m-%d %H:%M} UTC"


def _calm(seen: Situation) -> str:
    known = f"{seen.quality.reviewed:,} reviewed inputs, accuracy {seen.quality.accuracy}"
    quality = known if seen.quality.accuracy else "no reviewed inputs"
    kinds = {"none": "no drift", "mix": "another mix of classes", "looks": "other looks"}
    return f"{kinds.get(seen.found.judgement.kind, 'too few predictions to look for drift')}, {quality}"


def decided(run: str, job: str, drift: Path, quality: Path, task: Task, wish: str) -> Decision:
    """Decide, and keep the inspection in the store.

    Args:
        run: what the run is known by to whoever asked for it; one that is begun again comes to the same
            decision. May be empty.
        job: the engine's id of the run; a step that is repeated in it comes to the same decision.
        drift: what :func:`bonafide.drift.check.check` wrote.
        quality: what was collected beside the window.

    Raises:
        ConfigError: there is no such wish.
        StoreError: the store does not answer.
        DataError: a file was written by something else, or a source is not there.
    """
    if wish not in get_args(Wish):
        raise ConfigError(f"retrain is {wish!r}; give one of {', '.join(get_args(Wish))}")
    found, measured = read_found(drift), read_quality(quality)
    named = run or f"{job} {(drift / DRIFT).read_text()}"  # the local runner's ids are short
    identity = hashlib.sha256(f"{task.name} {named}".encode()).hexdigest()[:32]
    with opened(home.store()) as store:
        inspections = Inspections(store.database)
        before = inspections.find(identity)
        now = before.time if before else datetime.now(UTC)
        learnt = confirmed(task, now)
        data = learnt.digest if learnt else ""
        newest = datetime.fromisoformat(learnt.until) if learnt else None

        def judged(past: Past) -> tuple[bool, str]:
            seen = Situation(found, measured, task.gate.accuracy, data, newest, past, now)
            return decide(seen, task.monitoring, cast(Wish, wish))

        def make(past: Past) -> Inspection:
            retrain, why = judged(past)
            figures = measured.figures(task.monitoring.reviews) | {"accuracy_floor": task.gate.accuracy}
            kept = replace(inspection(found, identity), quality=figures, time=now)
            return replace(kept, retrain=retrain, why=why, data=data)

        may_train = before.retrain if before else judged(inspections.past(task.name))[0]
        sources = with_feedback(task, learnt) if may_train else ()  # one that is away leaves nothing decided
        kept = inspections.add(identity, task.name, make)
        if kept.retrain and not may_train:  # another look was made meanwhile
            sources = with_feedback(task, learnt)
    taken = tuple(each.model_dump(mode="json") for each in sources) if kept.retrain else ()
    return Decision(retrain=kept.retrain, why=kept.why, sources=taken)


def read_decision(path: Path) -> Decision:
    """Read ``decision.json`` back.

    Raises:
        DataError: it is not there, or was written by something else.
    """
    return read(Decision, path, "decide")
