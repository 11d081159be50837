"""Counts the inference requests that end before a model sees them."""

from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager

from kserve.errors import ModelNotReady
from starlette.requests import ClientDisconnect

from bonafide.serving.errors import Overloaded, RequestError
from bonafide.telemetry import metrics
from bonafide.telemetry.logs import protocol


@contextmanager
def counted() -> Iterator[None]:
    """Around reading a request: what is raised is counted under no model and passed on."""
    try:
        yield
    except RequestError as error:
        count(protocol.get(), "refused", error.reason)
        raise
    except Overloaded as error:
        count(protocol.get(), "overloaded", error.reason)
        raise
    except ModelNotReady:
        count(protocol.get(), "failed", "not-ready")
        raise
    except (CancelledError, ClientDisconnect):
        count(protocol.get(), "cancelled", "cancelled")
        raise


def count(by: str, outcome: str, reason: str) -> None:
    """One request that no model has seen, and that came in by the protocol ``by``."""
    metrics.REQUESTS.labels("", "", "", by, outcome).inc()
    metrics.ERRORS.labels("", "", "", by, reason).inc()
