"""From the event loop to the database, without ever being in the way of a request.

``put`` appends to a queue in memory. One thread takes what has gathered, looks at the images, and writes a
batch to the spool: from then on its predictions are **accepted**. Another thread moves what is spooled to the
database. So a prediction is accepted within about a tenth of a second of its answer, whatever the database
does. What is accepted survives a kill of the process and a loss of power, and is in the database once, as
soon as that answers. What is not accepted yet is lost with the process; an orderly end leaves nothing of that
kind. What finds no room is dropped, counted and told in the log.
"""

import hashlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event, Lock, Thread
from time import monotonic, perf_counter
from typing import NamedTuple

from bonafide.errors import BonafideError
from bonafide.feedback.errors import ContentError
from bonafide.feedback.images import Images
from bonafide.feedback.prediction import Prediction
from bonafide.feedback.spool import Spool
from bonafide.feedback.store import Store
from bonafide.telemetry.metrics import PREDICTIONS_STORED, STORE_IMAGES

MOST_WAITING = 50_000  # rows of some requests
NUMBER_BYTES = 56  # of a row's number with its place by name
MOST_WAITING_BYTES = 256 * 2**20
MOST_FILES_BYTES = MOST_WAITING_BYTES // 2  # so that predictions are kept, without their files, for longer
BATCH = 500
FILES_AT_ONCE = 8
IMAGES_AT_ONCE = 8
GATHER_SECONDS = 0.05
RETRY_SECONDS = 2.0
GRACE_SECONDS = 15.0
TELL_SECONDS = 10.0
LOOKING = 0.1
"""The share of its time that the thread may spend on measuring brightness, which decodes images again."""

Buffer = bytes | bytearray | memoryview
Look = Callable[[bytes, bool], dict[str, float]]

logger = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    draft: Prediction
    content: Buffer | None

    @property
    def size(self) -> int:
        """Bytes that it takes, about: a file, and the numbers of a row."""
        return len(self.content or b"") + NUMBER_BYTES * len(self.draft.statistics)


class _Finished(NamedTuple):
    prediction: Prediction
    content: bytes | None


class Writer:
    """Keeps predictions.

    Args:
        look: tells an image's statistics, with or without its brightness.
        images: where copies of the images go; None for nowhere.

    Attributes:
        store: where they go in the end.
    """

    def __init__(self, store: Store, spool: Spool, look: Look, images: Images | None = None) -> None:
        self.store = store
        self._spool = spool
        self._look = look
        self._images = images
        self._lock = Lock()
        self._waiting: deque[_Waiting] = deque()
        self._held = 0
        self._rested = 0.0
        self._came, self._spooled, self._closing, self._kept = Event(), Event(), Event(), Event()
        self._told: dict[str, float] = {}
        self._threads = [Thread(target=each, daemon=True) for each in (self._keep, self._feed)]
        for outcome in ("spooled", "stored", "duplicate", "dropped"):
            PREDICTIONS_STORED.labels(outcome)  # at zero: Prometheus takes a first value for no growth
        for outcome in ("stored", "skipped", "failed"):
            STORE_IMAGES.labels(outcome)

    def start(self) -> None:
        """Begin, with what an earlier life left in the spool."""
        for thread in self._threads:
            thread.start()

    def put(self, draft: Prediction, content: Buffer | None = None) -> None:
        """Have a prediction kept; returns at once.

        Args:
            draft: what is known of it without its image.
            content: the image's file; it is left out where files that wait take too much memory.
        """
        waiting = _Waiting(draft, content)
        with self._lock:
            if self._held + waiting.size > MOST_FILES_BYTES:
                waiting = _Waiting(draft, None)
            fits = self._held + waiting.size <= MOST_WAITING_BYTES and len(self._waiting) < MOST_WAITING
            if taken := fits and not self._closing.is_set():
                self._waiting.append(waiting)
                self._held += waiting.size
        if not taken:
            self._drop(1, "too many predictions wait")
        self._came.set()

    def close(self) -> None:
        """Accept what waits, and give the database some seconds to take it."""
        self._closing.set()
        self._came.set()
        self._threads[0].join(GRACE_SECONDS)
        if left := self._taken(MOST_WAITING):
            self._drop(len(left), "there was no time for them")
        self._kept.set()
        self._spooled.set()
        self._threads[1].join(GRACE_SECONDS)

    def _keep(self) -> None:
        with ThreadPoolExecutor(IMAGES_AT_ONCE, thread_name_prefix="images") as pool:
            while not self._closing.is_set() or self._waiting:
                self._came.wait()
                self._came.clear()
                self._closing.wait(GATHER_SECONDS)
                while batch := self._taken():
                    self._accept(batch, pool)

    def _taken(self, most: int = BATCH) -> list[_Waiting]:
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
            self._held -= sum(each.size for each in batch)
        return batch

    def _accept(self, batch: Sequence[_Waiting], pool: ThreadPoolExecutor) -> None:
        try:
            finished = [self._finish(each.draft, each.content) for each in batch]
            self._spool.append([each.prediction for each in finished])
        except Exception as error:  # noqa: BLE001  (whatever it is, the next batch may fare better)
            self._drop(len(batch), error)
            return
        PREDICTIONS_STORED.labels("spooled").inc(len(batch))
        self._spooled.set()
        if self._images:
            list(pool.map(self._save, finished))

    def _finish(self, draft: Prediction, content: Buffer | None) -> _Finished:
        if content is None:
            return _Finished(draft, None)
        file = bytes(content)
        digest = hashlib.sha256(file).hexdigest()
        image = self._images.address(digest) if self._images else None
        known = replace(draft, sha256=digest, statistics=self._statistics(file), image=image)
        return _Finished(known, file if self._images else None)

    def _statistics(self, file: bytes) -> dict[str, float]:
        begun = perf_counter()
        measured = begun >= self._rested
        try:
            return self._look(file, measured)
        except BonafideError:  # answered, and yet no image: it was pixels, say
            return {}
        finally:
            if measured:
                self._rested = perf_counter() + (perf_counter() - begun) * (1 / LOOKING - 1)

    def _save(self, finished: _Finished) -> None:
        """After the row, so that no image is kept that no row tells of."""
        if not self._images or finished.content is None or not finished.prediction.sha256:
            STORE_IMAGES.labels("skipped").inc()
            return
        try:
            self._images.save(finished.prediction.sha256, finished.content)
        except Exception as error:  # noqa: BLE001  (as above)
            STORE_IMAGES.labels("failed").inc()
            self._tell("images are not kept", error)
            return
        STORE_IMAGES.labels("stored").inc()

    def _feed(self) -> None:
        while not self._kept.is_set():
            pause = self._spooled if self._drain() else self._kept
            pause.wait(RETRY_SECONDS)
            self._spooled.clear()
        self._drain()

    def _drain(self) -> bool:
        """Whether the database has all."""
        try:
            self._move()
        except Exception as error:  # noqa: BLE001  (as above)
            self._tell("predictions wait in the spool", error)
            return False
        return True

    def _move(self) -> None:
        while files := self._spool.waiting()[:FILES_AT_ONCE]:
            rows = [row for path in files for row in self._spool.read(path)]
            self._add(rows)
            for path in files:
                self._spool.remove(path)

    def _add(self, rows: Sequence[Prediction]) -> None:
        """What the database will never take is dropped, and the rest goes on."""
        try:
            new = self.store.add(rows)
        except ContentError as error:
            if len(rows) == 1:
                self._drop(1, error)
                return
            half = len(rows) // 2
            self._add(rows[:half])
            self._add(rows[half:])
        else:
            PREDICTIONS_STORED.labels("stored").inc(new)
            PREDICTIONS_STORED.labels("duplicate").inc(len(rows) - new)

    def _drop(self, count: int, why: object) -> None:
        PREDICTIONS_STORED.labels("dropped").inc(count)
        self._tell("predictions are dropped", why)

    def _tell(self, what: str, why: object) -> None:
        """A line in the log now and then, however often it happens."""
        if monotonic() - self._told.get(what, -TELL_SECONDS) >= TELL_SECONDS:
            self._told[what] = monotonic()
            logger.warning(what, extra={"error": str(why)})
