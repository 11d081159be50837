"""The metrics of one version of a model, with its labels filled in."""

from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import numpy as np
from starlette.requests import ClientDisconnect

from bonafide.model.decision import Decided
from bonafide.serving.compute.scheduler import Answered
from bonafide.serving.errors import Overloaded, RequestError
from bonafide.telemetry import metrics
from bonafide.telemetry.logs import protocol


class Meters:
    """Counts what one version of a model answers.

    Every series is there from the start, at zero: Prometheus takes a series' first value for no growth.
    """

    def __init__(self, model: str, version: str, labels: tuple[str, ...]) -> None:
        key = (model, version)
        self._stages = {stage: metrics.STAGE_SECONDS.labels(*key, stage) for stage in metrics.STAGES}
        for way, outcome in product(metrics.PROTOCOLS, metrics.OUTCOMES):
            metrics.REQUESTS.labels(*key, way, outcome)
        self._confidence = metrics.CONFIDENCE.labels(*key)
        self._predictions = [metrics.PREDICTIONS.labels(*key, label) for label in labels]
        self._uncertain = [metrics.UNCERTAIN.labels(*key, label) for label in labels]

    def answered(self, answered: Answered, decided: Decided) -> None:
        """Count the stages, the labels and how sure they were."""
        stages = {stage: getattr(answered, stage) for stage in ("decode", "queue", "infer")}
        for stage, seconds in (stages | {"total": sum(stages.values())}).items():
            self._stages[stage].observe(seconds)
        for confidence in decided.confidence.tolist():
            self._confidence.observe(confidence)
        for counters, labels in (
            (self._predictions, decided.label),
            (self._uncertain, decided.label[decided.uncertain]),
        ):
            for label, count in enumerate(np.bincount(labels).tolist()):
                counters[label].inc(count)


@contextmanager
def counted(model: str = "", version: str = "") -> Iterator[None]:
    """Around a request: it is counted by how it ends, and what is raised is passed on.

    Args:
        model: empty for one that is not served.
    """

    def ended(outcome: str, reason: str = "") -> None:
        metrics.REQUESTS.labels(model, version, protocol.get(), outcome).inc()
        if reason:
            metrics.ERRORS.labels(model, version, protocol.get(), reason).inc()

    with metrics.IN_FLIGHT.track_inprogress():
        try:
            yield
        except (CancelledError, ClientDisconnect):
            ended("cancelled", "cancelled")
            raise
        except RequestError as error:
            ended("refused", error.reason)
            raise
        except Overloaded as error:
            ended("overloaded", error.reason)
            raise
        except Exception:
            ended("failed", "internal")
            raise
    ended("ok")
