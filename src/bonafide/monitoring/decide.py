"""Whether training begins: what was found, what the task asks, and what there is to learn."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from bonafide import home
from bonafide.config import Config, read
from bonafide.drift.check import DRIFT, Found, read_found
from bonafide.drift.metrics import inspection
from bonafide.feedback.inspections import Inspection, Inspections
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
        last: the newest inspection for which training began.
    """

    found: Found
    quality: Quality
    floor: float
    data: str
    last: Inspection | None
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
    if seen.quality.is_below(seen.floor, settings.reviews):
        yield (
            f"its accuracy on {seen.quality.reviewed:,} reviewed images is {seen.quality.accuracy}, "
            f"below the gate's {seen.floor:g}"
        )


def _age(seen: Situation, settings: Monitoring) -> str:
    days = (seen.now - datetime.fromisoformat(seen.found.created)) / timedelta(days=1)
    if settings.oldest_days and days >= settings.oldest_days:
        return f"version {seen.found.version} is {days:.0f} days old"
    return ""


def _rest(seen: Situation, settings: Monitoring) -> str:
    hours = (seen.now - seen.last.time) / timedelta(hours=1) if seen.last else settings.rest_hours
    if 0 <= hours < settings.rest_hours:
        return f"training began {hours:.1f} hours ago, and rests for {settings.rest_hours:g}"
    return ""


def _nothing_new(seen: Situation) -> str:
    if not seen.data:
        return "nobody confirmed the label of an image that is kept, so there is nothing new to learn"
    if seen.last and seen.last.data == seen.data:
        return f"nobody confirmed anything since training began at {seen.last.time:%Y-%m-%d %H:%M} UTC"
    return ""


def _calm(seen: Situation) -> str:
    known = f"{seen.quality.reviewed:,} reviewed images, accuracy {seen.quality.accuracy}"
    quality = known if seen.quality.accuracy else "no reviewed images"
    kinds = {"none": "no drift", "mix": "another mix of classes", "looks": "other looks"}
    return f"{kinds.get(seen.found.judgement.kind, 'too few predictions to look for drift')}, {quality}"


def decided(run: str, drift: Path, quality: Path, task: Task, wish: Wish) -> Decision:
    """Decide, and keep the inspection in the store.

    Args:
        run: the pipeline run's id; a step that is repeated in it comes to the same decision.
        drift: what :func:`bonafide.drift.check.check` wrote.
        quality: what was collected beside the window.

    Raises:
        StoreError: the store does not answer.
        DataError: a file was written by something else, or a source is not there.
    """
    found, measured = read_found(drift), read_quality(quality)
    with opened(home.store()) as store:
        inspections = Inspections(store.database)
        identity = hashlib.sha256(f"{run} {(drift / DRIFT).read_text()}".encode()).hexdigest()[:32]
        kept = inspections.find(identity)
        now = kept.time if kept else datetime.now(UTC)
        learnt = confirmed(task, now)
        if kept is None:
            data, last = (learnt.digest if learnt else ""), inspections.last_training(task.name)
            seen = Situation(found, measured, task.gate.accuracy, data, last, now)
            retrain, why = decide(seen, task.monitoring, wish)
            kept = replace(
                inspection(found, identity),
                quality=measured.figures() | {"accuracy_floor": task.gate.accuracy},
                retrain=retrain,
                why=why,
                data=data,
                time=now,
            )
            inspections.add(kept)
    sources = with_feedback(task, learnt) if kept.retrain else ()
    return Decision(
        retrain=kept.retrain, why=kept.why, sources=tuple(each.model_dump(mode="json") for each in sources)
    )


def read_decision(path: Path) -> Decision:
    """Read ``decision.json`` back.

    Raises:
        DataError: it is not there, or was written by something else.
    """
    return read(Decision, path, "decide")
