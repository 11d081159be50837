"""The metrics of one version of a model, with its labels filled in."""

from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from bonafide.model.decision import Decided
from bonafide.serving.compute.work import Answered
from bonafide.serving.errors import Overloaded, RequestError
from bonafide.telemetry import metrics
from bonafide.telemetry.logs import protocol


class Meters:
    """Counts what one version of a model is asked and answers."""

    def __init__(self, model: str, version: str, variant: str, labels: tuple[str, ...]) -> None:
        self._key = (model, version, variant)
        self._stages = {stage: metrics.STAGE_SECONDS.labels(*self._key, stage) for stage in metrics.STAGES}
        self._confidence = metrics.CONFIDENCE.labels(*self._key)
        self._predictions = [metrics.PREDICTIONS.labels(*self._key, label) for label in labels]
        self._uncertain = [metrics.UNCERTAIN.labels(*self._key, label) for label in labels]
        self.batch = metrics.BATCH_IMAGES.labels(*self._key).observe

    @contextmanager
    def request(self) -> Iterator[None]:
        """Time a request and count how it ends."""
        begun = perf_counter()
        with metrics.IN_FLIGHT.track_inprogress():
            try:
                yield
            except CancelledError:
                self._ended("cancelled", "cancelled")
                raise
            except RequestError as error:
                self._ended("refused", error.reason)
                raise
            except Overloaded as error:
                self._ended("overloaded", error.reason)
                raise
            except Exception:
                self._ended("failed", "internal")
                raise
        self._ended("ok")
        self._stages["total"].observe(perf_counter() - begun)

    def answered(self, answered: Answered, decided: Decided) -> None:
        """Count the stages, the labels and how sure they were."""
        for stage in ("decode", "queue", "infer"):
            self._stages[stage].observe(getattr(answered, stage))
        rows = zip(decided.label, decided.confidence, decided.uncertain, strict=True)
        for label, confidence, uncertain in rows:
            self._predictions[label].inc()
            self._uncertain[label].inc(int(uncertain))
            self._confidence.observe(confidence)

    def _ended(self, outcome: str, reason: str = "") -> None:
        metrics.REQUESTS.labels(*self._key, protocol.get(), outcome).inc()
        if reason:
            metrics.ERRORS.labels(*self._key, protocol.get(), reason).inc()
