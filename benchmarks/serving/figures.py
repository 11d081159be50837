"""From what the load generator counted to the figures of the page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

PERCENTILES = (50, 95, 99)


def percentile(latencies: Sequence[float], failed: int, share: float) -> float:
    """Nearest-rank percentile of seconds; a failed request was never answered, so it counts as infinite."""
    rank = max(1, math.ceil(share / 100 * (len(latencies) + failed)))
    return sorted(latencies)[rank - 1] if rank <= len(latencies) else math.inf


def rate(outcome: Mapping[str, Any]) -> float:
    """Right answers a second."""
    return float(len(outcome["latencies"]) / (outcome["end"] - outcome["begin"]))


def failed(outcome: Mapping[str, Any]) -> int:
    """Requests without a right answer."""
    return sum(outcome["failures"].values())


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Of the line through the points with the least squares."""
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)
