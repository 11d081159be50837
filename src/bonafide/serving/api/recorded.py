"""Answers that are kept: each gets an id and goes to the store, beside the request."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, get_args
from uuid import uuid4

from bonafide.feedback.opinion import State
from bonafide.feedback.prediction import Prediction
from bonafide.serving.answer import Answer
from bonafide.serving.api.upstream import Upstream
from bonafide.serving.client import OUTPUTS
from bonafide.serving.edge.ids import event_id
from bonafide.serving.errors import RequestError
from bonafide.serving.known import Known, known
from bonafide.serving.sent import Sent
from bonafide.telemetry.metrics import FEEDBACK

if TYPE_CHECKING:
    from bonafide.feedback.writer import Writer

EMBEDDING = "embedding"
REFUSED = "outputs:"
BARE_SECONDS = 60.0
AT_ONCE = 64
"""More than so many answers are made ready to be kept on another thread."""


class Recorded:
    """An upstream of which each answer is kept.

    It is asked for the embedding too; where the model has none, it is not asked again for a minute. The
    predictor's logger, if there is one, is told to call the event by the prediction's id: then what the
    collector makes of it is the same prediction, and is kept once.
    """

    def __init__(self, upstream: Upstream, writer: "Writer") -> None:
        self._upstream = upstream
        self._writer = writer
        self._bare_until = 0.0

    async def infer(self, sent: Sent, outputs: Sequence[str] = OUTPUTS) -> Answer:
        """As of :class:`bonafide.serving.api.upstream.Upstream`, with ids."""
        identity, begun = uuid4().hex, perf_counter()
        event = event_id.set(identity)
        try:
            answer = await self._embedded(sent, outputs)
        finally:
            event_id.reset(event)
        milliseconds = 1000 * (perf_counter() - begun)
        for state in get_args(State):
            FEEDBACK.labels(answer.model, state)  # at zero: Prometheus takes a first value for no growth
        kept = partial(self._keep, sent, answer, identity, milliseconds)
        many = len(answer.probabilities) > AT_ONCE
        ids = await asyncio.to_thread(kept) if many else kept()
        return replace(answer, ids=ids)

    async def ready(self) -> bool:
        """Whether it would answer; the store does not matter."""
        return await self._upstream.ready()

    async def close(self) -> None:
        """Let go of what it holds."""
        await self._upstream.close()

    def _keep(self, sent: Sent, answer: Answer, identity: str, milliseconds: float) -> tuple[str, ...]:
        about = known(sent, answer.columns)
        made = tuple(predictions(answer, about, identity, milliseconds))
        for prediction, each in zip(made, about, strict=True):
            self._writer.put(prediction, each.file)
        return tuple(each.id for each in made)

    async def _embedded(self, sent: Sent, outputs: Sequence[str]) -> Answer:
        if monotonic() >= self._bare_until:
            try:
                return await self._upstream.infer(sent, (*outputs, EMBEDDING))
            except RequestError as error:
                if not str(error).startswith(REFUSED):
                    raise
                self._bare_until = monotonic() + BARE_SECONDS
        return await self._upstream.infer(sent, outputs)


def predictions(
    answer: Answer,
    about: Sequence[Known],
    identity: str,
    milliseconds: float | None = None,
    predictor: str = "",
) -> Iterator[Prediction]:
    """Each answer, as it is kept; of several each gets the id with its number behind it.

    Args:
        about: what is known of each of them.
    """
    now, count = datetime.now(UTC), len(answer.probabilities)
    vectors = answer.outputs.get(EMBEDDING)
    for index, label in enumerate(answer.names):
        shares = zip(answer.labels, answer.probabilities[index].tolist(), strict=True)
        yield Prediction(
            id=identity if count == 1 else f"{identity}.{index}",
            time=now,
            task=answer.model,
            version=answer.version,
            predictor=predictor,
            label=label,
            uncertain=bool(answer.uncertain[index]),
            probabilities=dict(shares),
            latency_ms=milliseconds,
            embedding=None if vectors is None else vectors[index].astype("<f4").tobytes(),
            sha256=about[index].sha256,
            statistics=about[index].statistics,
        )
