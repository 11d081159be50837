"""From files to answers on all cores: some threads read ahead, one a core decodes and runs the model.

Each image is a run of its own on one thread: on a CPU that costs less than a batch, whose activations do not
fit the caches, and an image gets the same float whatever its neighbours are.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from bonafide.batch.inputs import Answer, Inputs
from bonafide.batch.listing import Entry, Listing, listed
from bonafide.data.header import Limits
from bonafide.errors import ImageError
from bonafide.model.decision import decide
from bonafide.model.info import ModelInfo
from bonafide.serving.compute.engine import Engine

READERS = 16
AHEAD = 32
AHEAD_BYTES = 256 * 2**20


def images(where: str, _: ModelInfo) -> Inputs:
    """The images that ``where`` stands for, as of :func:`bonafide.batch.listing.listed`.

    Raises:
        BonafideError: there is none, or they cannot be listed.
    """
    listing = listed(where)
    total = len(listing.entries)
    return Inputs("images", "path", total, listing.skipped, listing.digest, partial(answers, listing))


def answers(listing: Listing, start: int, engine: Engine, cores: int) -> Iterator[Answer]:
    """Score the images from number ``start`` on, in order.

    No more than ``AHEAD`` files a core, and ``AHEAD_BYTES`` of files but for one, are held at a time.

    Args:
        engine: with one thread a run; each core has a run of its own.

    Raises:
        BonafideError: the input cannot be read any more.
    """
    reading, computing = ThreadPoolExecutor(READERS), ThreadPoolExecutor(cores)
    window: deque[tuple[int, Future[Answer]]] = deque()
    held = 0
    try:
        for entry in listing.entries[start:]:
            while window and (len(window) >= AHEAD * cores or held + entry.size > AHEAD_BYTES):
                freed, oldest = window.popleft()
                held -= freed
                yield oldest.result()
            file = reading.submit(listing.read, entry, Limits().max_bytes + 1)
            window.append((entry.size, computing.submit(_score, entry, file, engine)))
            held += entry.size
        for _, waiting in window:
            yield waiting.result()
    finally:
        computing.shutdown(wait=False, cancel_futures=True)
        reading.shutdown(wait=False, cancel_futures=True)


def _score(entry: Entry, file: Future[bytes], engine: Engine) -> Answer:
    try:
        probabilities = engine.score(file.result(), ("probabilities",)).scores["probabilities"]
    except ImageError as error:
        return Answer(entry.name, error=f"{error.reason}: {error}")
    decided = decide(probabilities, engine.info.labels, engine.info.decision)
    return Answer(entry.name, int(decided.label[0]), bool(decided.uncertain[0]), probabilities[0])
