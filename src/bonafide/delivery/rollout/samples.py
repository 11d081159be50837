"""Samples of predictors' counters, as Prometheus scrapes them, and what they grew by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

NONE: Mapping[str, str] = {}

Times = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Series:
    """The samples of one counter of one pod, in the order of time.

    Attributes:
        predictor: which of the service's predictors the pod belongs to, for example ``v12``.
        labels: the metric's own labels.
        times: seconds since 1970, FP64 [S].
        values: FP64 [S].
    """

    predictor: str
    pod: str
    metric: str
    labels: Mapping[str, str]
    times: Times
    values: Times

    def growth(self, edges: Times) -> Counts:
        """By how much the counter grew in each window, INT64 [W] for W + 1 edges.

        A sample belongs to the window that its time lies in, left edge excluded. A counter that fell was
        restarted and counts from zero; its first sample is a beginning, not growth.
        """
        steps = np.diff(self.values)
        grown = np.where(steps < 0, self.values[1:], steps).astype(np.int64)
        window = np.searchsorted(edges, self.times[1:], side="left") - 1
        inside = (window >= 0) & (window < len(edges) - 1)
        return np.bincount(window[inside], grown[inside], len(edges) - 1).astype(np.int64)


def joined(parts: Sequence[Series]) -> Series:
    """The parts of one series, in the order of time, as one."""
    times, values = ([getattr(part, name) for part in parts] for name in ("times", "values"))
    return replace(parts[0], times=np.concatenate(times), values=np.concatenate(values))


class Samples(Protocol):
    """Where samples come from."""

    def read(
        self, metric: str, start: float, end: float, step: float = 0, where: Mapping[str, str] = NONE
    ) -> Sequence[Series]:
        """Series of a metric of one service, as they were scraped, or one sample every ``step`` seconds.

        Args:
            where: labels that they must have, ``predictor`` among them.

        Raises:
            DeliveryError: the source does not answer, or answers something else.
        """
        ...
