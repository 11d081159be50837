"""Many requests on few cores: a bounded queue of images, each of which one thread decodes and runs.

A thread stays with its image: on a CPU a batch costs more than its images one by one, whose activations fit
the caches, and an image gets the same floats whatever its neighbours are. A few rows of a table are answered
where they come in, as a thread would take longer to begin.
"""

import asyncio
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from bonafide.errors import ImageError
from bonafide.serving.compute.engine import Engine, Items, Scored, Scores
from bonafide.serving.compute.pool import Pool
from bonafide.serving.errors import STATUS, Overloaded, RequestError
from bonafide.telemetry import metrics

LONGEST_RETRY_SECONDS = 60
MEMORY = 0.1


@dataclass(frozen=True)
class Capacity:
    """How much is done at once.

    ``threads`` each work on one image, on one core. ``queue`` is how many images may be accepted and
    unanswered. A request unanswered after ``deadline_seconds`` is given up.
    """

    threads: int
    queue: int
    deadline_seconds: float = 10.0

    @classmethod
    def of(cls, cores: int) -> "Capacity":
        """The capacity of a server that has so many cores."""
        return cls(threads=cores, queue=64 * cores)


@dataclass(frozen=True)
class Answered:
    """A request's arrays [N, …], and the seconds that its last image spent in each stage."""

    scores: Scores
    decode: float
    queue: float
    infer: float


class Scheduler:
    """Runs requests of all models of a process on its threads; :meth:`run` belongs to one event loop."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self._accepted = 0
        self._seconds_per_image = 0.0
        self._threads = Pool(capacity.threads, thread_name_prefix="compute")
        metrics.QUEUE_LIMIT_IMAGES.set(capacity.queue)

    async def run(self, engine: Engine, items: Items, outputs: Sequence[str]) -> Answered:
        """Score one or more items; cancelling drops those that no thread has begun.

        Args:
            items: image files, uint8 [N, H, W, 3], or blocks of a table's rows.
            outputs: as of :meth:`bonafide.model.runtime.OnnxModel.run`.

        Raises:
            RequestError: an image is refused; the message names its index.
            Overloaded: the queue is full, or the deadline has passed.
        """
        begun = perf_counter()
        with self._room_for(len(items)):
            rows = await self._rows(engine, items, outputs)
            seconds = perf_counter() - begun
        last = rows[-1]
        self._seconds_per_image += MEMORY * (last.decode + last.infer - self._seconds_per_image)
        scores = {name: np.concatenate([row.scores[name] for row in rows]) for name in outputs}
        return Answered(scores, last.decode, seconds - last.decode - last.infer, last.infer)

    def close(self) -> None:
        """Finish what has been accepted, then end the threads."""
        self._threads.shutdown()

    async def _rows(self, engine: Engine, items: Items, outputs: Sequence[str]) -> list[Scored]:
        """In the order of the items; the futures go, as an error in one keeps the frames that keep them."""
        if len(items) == 1 and engine.is_brief(items[0]):
            await asyncio.sleep(0)  # others are counted, and answered, in between
            return [engine.score(items[0], outputs)]
        submit = asyncio.get_running_loop().run_in_executor
        waiting = [submit(self._threads, engine.score, item, outputs) for item in items]
        rows: list[Scored] = []
        try:
            async with asyncio.timeout(self.capacity.deadline_seconds):
                for future in waiting:
                    rows.append(await future)  # noqa: PERF401  (an error tells how many there are)
        except ImageError as error:
            message = f"image[{len(rows)}]: {error.reason}: {error}"
            raise RequestError(message, STATUS.get(error.reason, 400), error.reason) from error
        except TimeoutError:
            waited = f"no answer within {self.capacity.deadline_seconds:g} s"
            raise Overloaded(f"the server is busy: {waited}", self._drained_in(), "deadline") from None
        finally:
            while waiting:
                future = waiting.pop()
                if not future.cancel() and not future.cancelled():
                    future.exception()  # asyncio logs those that nobody looks at
            del future
        return rows

    @contextmanager
    def _room_for(self, count: int) -> Iterator[None]:
        if self._accepted + count > self.capacity.queue:
            limit = f"{self._accepted} images are waiting, {self.capacity.queue} may"
            raise Overloaded(f"the server is busy: {limit}; try again", self._drained_in(), "queue-full")
        self._accept(count)
        try:
            yield
        finally:
            self._accept(-count)

    def _accept(self, count: int) -> None:
        self._accepted += count
        metrics.QUEUE_IMAGES.set(self._accepted)

    def _drained_in(self) -> int:
        seconds = self._accepted * self._seconds_per_image / self.capacity.threads
        return min(max(1, math.ceil(seconds)), LONGEST_RETRY_SECONDS)
