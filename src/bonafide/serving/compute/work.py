"""One request on its way through the scheduler: its images, what is still missing, its answer."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from bonafide.data.decoding import fit
from bonafide.errors import ImageError
from bonafide.serving.compute.engine import Engine, Pixels, Scores


@dataclass(frozen=True)
class Answered:
    """Scores of a request, and the seconds that its last image spent in each stage."""

    scores: Scores
    decode: float
    queue: float
    infer: float


@dataclass
class Request:
    """What was asked and what is known so far.

    Other threads give rows and errors with :meth:`post`; state changes on the event loop alone, so nothing is
    locked. ``dropped`` tells the threads that nobody waits any more.
    """

    engine: Engine
    outputs: frozenset[str]
    observe: Callable[[int], None]
    rows: list[Scores]
    missing: int
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    begun: float = field(default_factory=perf_counter)
    dropped: bool = False

    def __post_init__(self) -> None:
        self.answer: asyncio.Future[Answered] = self.loop.create_future()

    @classmethod
    def of(
        cls, engine: Engine, count: int, outputs: Sequence[str], observe: Callable[[int], None]
    ) -> "Request":
        """A request for ``count`` images, of which none is answered."""
        return cls(engine, frozenset(outputs), observe, [{}] * count, count)

    def drop(self) -> None:
        """Nobody waits any more. The answer goes: an error in it keeps the frames that keep this request, and
        with it the files, until the garbage collector comes by.
        """
        self.dropped = True
        del self.answer

    def post(self, report: "Delivery | Exception") -> None:
        """Hand a part of the answer, or why there is none, to the event loop; from any thread."""
        if not self.dropped:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                self.loop.call_soon_threadsafe(self._receive, report)

    def _receive(self, report: "Delivery | Exception") -> None:
        if self.dropped or self.answer.done():
            return
        if isinstance(report, Exception):
            self.answer.set_exception(report)
            return
        for item, row in report.rows:
            self.rows[item.index] = row
        self.missing -= len(report.rows)
        if not self.missing:
            self.answer.set_result(self._answered(report))

    def _answered(self, last: "Delivery") -> Answered:
        scores = {name: np.stack([row[name] for row in self.rows]) for name in self.outputs}
        decode = last.rows[-1][0].decode_seconds
        return Answered(scores, decode, last.started - self.begun - decode, last.seconds)


@dataclass
class Item:
    """One image of a request: a file's bytes or uint8 [H, W, 3], then the model's uint8 [S, S, 3]."""

    request: Request
    index: int
    source: bytes | Pixels
    pixels: Pixels | None = None
    decode_seconds: float = 0.0

    def decode(self) -> None:
        """Fill ``pixels``.

        Raises:
            ImageError: the file is refused; the message names the image's index.
        """
        begun, engine = perf_counter(), self.request.engine
        if isinstance(self.source, bytes):
            try:
                self.pixels = engine.decode_one(self.source)
            except ImageError as error:
                raise ImageError(error.reason, f"image[{self.index}]: {error.reason}: {error}") from error
        else:
            self.pixels = fit(self.source, engine.info.image.size)
        self.decode_seconds = perf_counter() - begun


@dataclass(frozen=True)
class Delivery:
    """Rows of one request from one run of the model, begun at ``started`` (perf_counter)."""

    rows: list[tuple[Item, Scores]]
    started: float
    seconds: float
