"""Counts the inference requests that end before they are read."""

from bonafide.telemetry import metrics


def count(by: str, outcome: str, reason: str) -> None:
    """One request that came in by the protocol ``by``."""
    metrics.REQUESTS.labels("", "", by, outcome).inc()
    metrics.ERRORS.labels("", "", by, reason).inc()
