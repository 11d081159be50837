"""Counts the inference requests that end before they are read."""

from collections.abc import Callable, Sequence

from bonafide.telemetry import metrics

Count = Callable[[str, str], None]


def counter(by: str, served: Callable[[], Sequence[str]] = tuple) -> Count:
    """What counts a request by its outcome and the reason.

    Args:
        by: the protocol that it came in by.
        served: the models that it may have been for; where there is one, it is counted with that.
    """

    def count(outcome: str, reason: str) -> None:
        names = served()
        model = names[0] if len(names) == 1 else ""
        metrics.REQUESTS.labels(model, "", by, outcome).inc()
        metrics.ERRORS.labels(model, "", by, reason).inc()

    return count
