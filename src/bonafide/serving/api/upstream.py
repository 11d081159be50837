"""What answers: a predictor in this process, or one that is asked over the Open Inference Protocol v2."""

from collections.abc import Sequence
from typing import Protocol

from bonafide.serving.answer import Answer
from bonafide.serving.client import OUTPUTS
from bonafide.serving.compute.scheduler import Scheduler
from bonafide.serving.errors import RequestError
from bonafide.serving.models.versions import Models
from bonafide.serving.sent import Sent, items_of


class Upstream(Protocol):
    """A predictor, wherever it runs; :class:`bonafide.serving.client.Client` is one."""

    async def infer(self, sent: Sent, outputs: Sequence[str] = OUTPUTS) -> Answer:
        """Score one or more image files, or a table's rows.

        Raises:
            RequestError: something that was sent is at fault; the message names the index.
            Overloaded: there is no answer now.
        """

    async def ready(self) -> bool:
        """Whether it would answer."""

    async def close(self) -> None:
        """Let go of what it holds."""


class Local:
    """The default version of the only one of ``models``, in this process: no hop, no copy on a wire."""

    def __init__(self, models: Models, scheduler: Scheduler) -> None:
        self._models = models
        self._scheduler = scheduler

    async def infer(self, sent: Sent, outputs: Sequence[str] = OUTPUTS) -> Answer:
        """As of :class:`Upstream`."""
        (name,) = self._models.names
        has = self._models.get(name).shapes
        if unknown := [output for output in outputs if output not in has]:
            raise RequestError(f"outputs: {unknown[0]!r} is unknown; this model has {', '.join(has)}")
        with self._models.asked(name) as predictor:
            return await predictor.answer(items_of(sent, predictor.info), outputs)

    async def ready(self) -> bool:
        """As of :class:`Upstream`."""
        return self._models.ready

    async def close(self) -> None:
        """Finish what has begun."""
        self._scheduler.close()
