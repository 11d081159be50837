"""Many requests on few cores: a bounded queue, decoding beside inference, batches when work piles up."""

import asyncio
import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic, perf_counter

import numpy as np

from bonafide.serving.compute.engine import Engine, Pixels
from bonafide.serving.compute.work import Answered, Delivery, Item, Request
from bonafide.serving.errors import Overloaded
from bonafide.telemetry import metrics

LONGEST_RETRY_SECONDS = 60
MEMORY = 0.1


@dataclass(frozen=True)
class Capacity:
    """How much is done at once.

    ``decoders`` and ``workers`` are threads; each worker runs the model on one thread. ``queue`` is how many
    images may be accepted and unanswered. A batch holds at most ``batch`` images; a worker waits for more at
    most ``wait_seconds``, and only while others are being decoded, so that a lone request never waits.
    A request unanswered after ``deadline_seconds`` is given up.
    """

    decoders: int
    workers: int
    queue: int
    batch: int = 2
    wait_seconds: float = 0.001
    deadline_seconds: float = 10.0

    @classmethod
    def of(cls, cores: int) -> "Capacity":
        """The capacity of a server that has so many cores."""
        return cls(decoders=cores, workers=cores, queue=64 * cores)


class Scheduler:
    """Runs requests of all models of a process on its threads; :meth:`run` belongs to one event loop."""

    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self._accepted = 0
        self._seconds_per_image = 0.0
        self._changed = threading.Condition()
        self._decoding = 0
        self._ready: deque[Item] = deque()
        self._closed = False
        self._decoders = ThreadPoolExecutor(capacity.decoders, thread_name_prefix="decode")
        self._workers = [
            threading.Thread(target=self._work, name=f"infer-{number}", daemon=True)
            for number in range(capacity.workers)
        ]
        for worker in self._workers:
            worker.start()
        metrics.QUEUE_LIMIT_IMAGES.set(capacity.queue)

    async def run(
        self,
        engine: Engine,
        images: Sequence[bytes] | Pixels,
        outputs: Sequence[str],
        observe: Callable[[int], None],
    ) -> Answered:
        """Score one or more images; cancelling drops those that no thread has begun.

        Args:
            images: JPEG, PNG or WebP files, or uint8 [N, H, W, 3].
            outputs: as of :meth:`bonafide.model.runtime.OnnxModel.run`.
            observe: called with the size of each batch, on another thread.

        Raises:
            ImageError: a file is refused; the message names its index.
            Overloaded: the queue is full, or the deadline has passed.
        """
        count = len(images)
        if self._accepted + count > self.capacity.queue:
            limit = f"{self._accepted} images are waiting, {self.capacity.queue} may"
            raise Overloaded(f"the server is busy: {limit}; try again", self._drained_in(), "queue-full")
        request = Request.of(engine, count, outputs, observe)
        self._accept(count)
        try:
            async with asyncio.timeout(self.capacity.deadline_seconds):
                self._submit([Item(request, index, image) for index, image in enumerate(images)])
                return await request.answer
        except TimeoutError:
            waited = f"no answer within {self.capacity.deadline_seconds:g} s"
            raise Overloaded(f"the server is busy: {waited}", self._drained_in(), "deadline") from None
        finally:
            request.drop()
            self._accept(-count)

    def close(self) -> None:
        """Finish what has been accepted, then end the threads."""
        self._decoders.shutdown()
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join()

    def _accept(self, count: int) -> None:
        self._accepted += count
        metrics.QUEUE_IMAGES.set(self._accepted)

    def _drained_in(self) -> int:
        seconds = self._accepted * self._seconds_per_image / self.capacity.workers
        return min(max(1, math.ceil(seconds)), LONGEST_RETRY_SECONDS)

    def _submit(self, items: list[Item]) -> None:
        with self._changed:
            self._decoding += len(items)
        for item in items:
            self._decoders.submit(self._decode, item)

    def _decode(self, item: Item) -> None:
        try:
            if not item.request.dropped:
                item.decode()
        except Exception as error:  # noqa: BLE001  (whatever it is, the request gets it)
            item.request.post(error)
        with self._changed:
            self._decoding -= 1
            if item.pixels is not None:
                self._ready.append(item)
            self._changed.notify()

    def _work(self) -> None:
        while items := self._next_batch():
            if waited_for := [item for item in items if not item.request.dropped]:
                self._infer(waited_for)
            del items, waited_for  # an idle thread holds no session of a version that has retired

    def _next_batch(self) -> list[Item]:
        """Images of one model, oldest first; none once closed."""
        with self._changed:
            while True:
                while not self._ready and not self._closed:
                    self._changed.wait()
                self._gather()
                if self._ready or self._closed:
                    return self._take()

    def _gather(self) -> None:
        """Wait a little for images that are being decoded; another worker may take those that are ready."""
        patience = monotonic() + self.capacity.wait_seconds
        while self._decoding and len(self._ready) < self.capacity.batch:
            if not self._changed.wait(patience - monotonic()):
                break

    def _take(self) -> list[Item]:
        share = min(self.capacity.batch, math.ceil(len(self._ready) / self.capacity.workers))
        batch: list[Item] = []
        while self._ready and len(batch) < share:
            if batch and self._ready[0].request.engine is not batch[0].request.engine:
                break
            batch.append(self._ready.popleft())
        if self._ready:
            self._changed.notify()
        return batch

    def _infer(self, items: list[Item]) -> None:
        first = items[0].request
        outputs = sorted(frozenset().union(*(item.request.outputs for item in items)))
        pixels = np.stack([item.pixels for item in items if item.pixels is not None])
        started = perf_counter()
        try:
            scores = first.engine.model.run(pixels, outputs)
        except Exception as error:  # noqa: BLE001  (whatever it is, the requests get it)
            for item in items:
                item.request.post(error)
            return
        seconds = perf_counter() - started
        self._seconds_per_image += MEMORY * (seconds / len(items) - self._seconds_per_image)
        first.observe(len(items))
        shares: dict[int, Delivery] = {}
        for place, item in enumerate(items):
            share = shares.setdefault(id(item.request), Delivery([], started, seconds))
            share.rows.append((item, {name: values[place] for name, values in scores.items()}))
        for share in shares.values():
            share.rows[0][0].request.post(share)
