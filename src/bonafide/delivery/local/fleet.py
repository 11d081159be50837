"""The predictors of the manifest that run, and which of them a request goes to."""

import asyncio
import bisect
import itertools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from bonafide.delivery.local.manifest import Arm
from bonafide.delivery.local.predictor import Predictor
from bonafide.delivery.rollout.settings import ALL

logger = logging.getLogger(__name__)


class Split(NamedTuple):
    """Predictors and the percent of the requests that each has; a missing stable one answers nothing."""

    stable: Predictor | None
    canaries: Sequence[tuple[Predictor, int]]

    def choose(self, share: float) -> Predictor | None:
        """Whose turn it is, for a number of [0, 1)."""
        ends = list(itertools.accumulate(percent for _, percent in self.canaries))
        place = bisect.bisect_right(ends, share * ALL)
        return self.canaries[place][0] if place < len(ends) else self.stable

    def percents(self) -> dict[str, int]:
        """By name, the stable one first."""
        canaries = {predictor.name: percent for predictor, percent in self.canaries}
        rest = ALL - sum(canaries.values())
        return ({self.stable.name: rest} if self.stable else {}) | canaries


class Fleet:
    """Runs what the manifest says; a request sees a change whole or not at all.

    A predictor gets requests once it is ready. Until then a canary's part stays with the stable one, and a
    stable one that is replaced goes on. What is not wanted any more is stopped after its requests.

    Args:
        tell: called with the percents when they change.

    Attributes:
        split: which requests go where now.
    """

    def __init__(self, public_key: Path, tell: Callable[[dict[str, int]], None]) -> None:
        self.split = Split(None, ())
        self._public_key = public_key
        self._tell = tell
        self._told: dict[str, int] = {}
        self._arms: Sequence[Arm] = ()
        self._running: dict[tuple[str, object], Predictor] = {}
        self._stopping: set[asyncio.Task[None]] = set()

    @property
    def ready(self) -> list[Predictor]:
        """All that answer, also those without requests."""
        return [predictor for predictor in self._running.values() if predictor.ready]

    def find(self, name: str) -> Predictor | None:
        """The predictor of that name that requests go to, or may go to."""
        chosen = (self.split.stable, *(predictor for predictor, _ in self.split.canaries))
        return next((each for each in chosen if each and each.name == name), None)

    def apply(self, arms: Sequence[Arm]) -> None:
        """Run these, the stable one first."""
        self._arms = arms
        for arm in arms:
            if _key(arm) not in self._running:
                predictor = Predictor(arm.name, arm.served, self._public_key, self._divide)
                self._running[_key(arm)] = predictor
                predictor.start()
        self._divide()

    async def stop(self) -> None:
        """End all of them."""
        self._arms = ()
        while self._running:
            self._retire(self._running.popitem()[1])
        await asyncio.gather(*self._stopping)

    def _divide(self) -> None:
        if not self._arms:
            return
        wanted = [self._running[_key(arm)] for arm in self._arms]
        before = self.split.stable
        stable = wanted[0] if wanted[0].ready else before if before and before.ready else None
        canaries = [
            (predictor, arm.percent)
            for predictor, arm in zip(wanted[1:], self._arms[1:], strict=True)
            if predictor.ready and predictor is not stable
        ]
        self.split = Split(stable, canaries)
        for key, predictor in list(self._running.items()):
            if predictor not in wanted and predictor is not stable:
                del self._running[key]
                self._retire(predictor)
        if stable and self.split.percents() != self._told:
            self._told = self.split.percents()
            self._tell(self._told)

    def _retire(self, predictor: Predictor) -> None:
        task = asyncio.create_task(predictor.stop())
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)


def _key(arm: Arm) -> tuple[str, object]:
    return arm.name, arm.served
