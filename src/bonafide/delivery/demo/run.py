"""``make demo-canary``: two rollouts under simulated traffic, judged as anywhere else."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bonafide.delivery.checkout import checkout
from bonafide.delivery.demo.processes import announced, bonafide, own_home, running
from bonafide.delivery.demo.variants import make, rounded, slowed
from bonafide.delivery.repository import Promotion, folder_of, promote
from bonafide.delivery.rollout.decide import Decision
from bonafide.delivery.rollout.recorded import Recorded
from bonafide.delivery.rollout.replay import Replayer
from bonafide.delivery.rollout.settings import SETTINGS
from bonafide.delivery.rollout.tick import Judge, tick
from bonafide.errors import BonafideError
from bonafide.files import sha256
from bonafide.home import keys, trusted_keys
from bonafide.modality import arm
from bonafide.model import package
from bonafide.model.signing import ensure_key
from bonafide.task import Task

ENVIRONMENT = "dev"
INPUTS, RATE = 480, 25.0
BASELINE_SECONDS, LOOK_SECONDS, LONGEST_SECONDS = 20, 3.0, 300
# Short waits and wide margins, so that minutes show what takes hours at the default settings.
ROLLOUT = """\
# Short waits and wide margins, for a demonstration.
steps: [0, 25, 50, 100]
bake_minutes: 0.25
warm_up_minutes: 0.1
deadline_minutes: 4
window_seconds: 3
minimum_requests: 50
replays: 400
margins: {errors_points: 0.05, slow_points: 0.15, label_points: 0.25, confidence_points: 0.25}
"""
ANNOUNCED = re.compile(r" at (http://\S+)")

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Story:
    """How a rollout went: seconds from its first traffic to its end, and the last decision."""

    version: str
    seconds: float
    decision: Decision


def demonstrate(task: Task, source: Path, folder: Path, tell: Tell) -> list[Story]:
    """Roll out a version that is as good as ``source`` and one that is slow, in a folder of their own.

    Args:
        task: whose version it is.
        source: the package of the stable version.
        folder: emptied first; state, packages, delivery repository and samples lie there.
        tell: called with what happens.

    Raises:
        BonafideError: a server does not start, or a rollout does not end.
    """
    trusted = trusted_keys()
    shutil.rmtree(folder, ignore_errors=True)
    with own_home(folder):
        versions = _packages(source, folder / "packages", trusted)
        inputs = arm(task.modality, "imitate")(task, folder, INPUTS)
        place, name = folder / "delivery", task.name
        _promote(place, name, "1", source)
        with checkout(str(place)) as delivery:
            delivery.change({folder_of(ENVIRONMENT, name) / SETTINGS: ROLLOUT}, "Judge what comes")
        with _delivering(place, name) as url, _asking(url, inputs):
            tell(f"version 1 serves at {url}; {RATE:g} requests a second")
            time.sleep(BASELINE_SECONDS)
            judge = Judge(Recorded(ENVIRONMENT, name), Replayer(url, inputs))
            return [_roll_out(place, name, number, made, judge, tell) for number, made in versions.items()]


def _packages(source: Path, out: Path, trusted: Path) -> dict[str, Path]:
    """A good version and a bad one, by their numbers."""
    pair = ensure_key(keys())
    for number, public in enumerate(sorted(trusted.glob("*.pub")) if trusted.is_dir() else [trusted]):
        shutil.copyfile(public, keys() / f"{number}.pub")
    for name, change in (("2", rounded), ("3", slowed)):
        make(source, out / name, pair.private, keys(), change)
    return {name: out / name for name in ("2", "3")}


def _roll_out(place: Path, task: str, number: str, source: Path, judge: Judge, tell: Tell) -> Story:
    _promote(place, task, number, source)
    tell(f"version {number} is a canary without traffic")
    return watch(place, task, number, judge, tell)


def watch(place: Path, task: str, number: str, judge: Judge, tell: Tell) -> Story:
    """Look at an open rollout every few seconds until it ends.

    Raises:
        BonafideError: it does not end.
    """
    begun, until, last = time.monotonic(), time.monotonic() + LONGEST_SECONDS, None
    said = ""
    while time.monotonic() < until:
        decision = tick(str(place), ENVIRONMENT, task, judge, datetime.now(UTC))
        if decision is None:
            assert last
            return Story(number, time.monotonic() - begun, last)
        if last and last.weight == 0 != decision.weight:
            begun = time.monotonic()
        if (told := f"version {number}: {decision.verdict}, {decision.why}; {decision.weight} %") != said:
            tell(told)
        said, last = told, decision
        time.sleep(LOOK_SECONDS)
    raise BonafideError(f"the rollout of version {number} did not end within {LONGEST_SECONDS} seconds")


def _promote(place: Path, task: str, number: str, source: Path) -> None:
    digest = sha256(source / package.SUMS)
    info = package.verify(source, keys())
    promotion = Promotion(
        task=task,
        version=number,
        package_uri=source.as_uri(),
        run=info.run_id or "none",
        model_digest=info.model_digest,
        data_digest=info.data_digest,
        package_digest=digest,
        code_version=info.code_version,
        gate="none: a demonstration",
    )
    with checkout(str(place)) as delivery:
        promote(delivery, ENVIRONMENT, promotion)


@contextmanager
def _delivering(place: Path, task: str) -> Iterator[str]:
    command = bonafide("deliver", "--local", "--task", task, "--http-port", "0", "--scrape-seconds", "1")
    with announced(command, place.parent / "deliver.log", ANNOUNCED) as url:
        yield url


@contextmanager
def _asking(url: str, inputs: Path) -> Iterator[None]:
    kind = "--rows" if inputs.is_file() else "--images"
    options = [kind, str(inputs), "--rate", f"{RATE:g}", "--seconds", "3600"]
    with (
        (inputs.parent / "simulate.log").open("w") as log,
        running(bonafide("simulate", url, *options), log, log),
    ):
        yield
