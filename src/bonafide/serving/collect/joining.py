"""Requests meet their answers, in whatever order they come; who comes alone does not wait for ever."""

from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

from bonafide.serving.answer import Answer, Array
from bonafide.serving.collect.halves import Asked
from bonafide.telemetry.metrics import COLLECTED_EVENTS

WAIT_SECONDS = 60.0
MOST = 10_000
MOST_BYTES = 128 * 2**20

Half = Asked | Answer
Keep = Callable[[str, str, Answer, Asked | None], None]
"""Takes the event's id, the predictor, its answer, and what was asked where that is known."""


class _Waiting(NamedTuple):
    until: float
    predictor: str
    half: Half


class Joiner:
    """Holds halves for a minute; belongs to one event loop.

    An answer whose request does not come is kept without what is known of the images. A request without an
    answer was refused, or its answer is lost: it is counted and forgotten.
    """

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._waiting: dict[tuple[str, bool], _Waiting] = {}
        self._held = 0

    def add(self, identity: str, predictor: str, half: Half) -> None:
        """Take a half; the first of several of one kind and id counts."""
        is_answer = isinstance(half, Answer)
        if (identity, is_answer) in self._waiting:
            COLLECTED_EVENTS.labels("repeated").inc()
            return
        other = self._pop((identity, not is_answer))
        if other is None:
            self._waiting[identity, is_answer] = _Waiting(monotonic() + WAIT_SECONDS, predictor, half)
            self._held += _size(half)
            while len(self._waiting) > MOST or self._held > MOST_BYTES:
                self._give_up(next(iter(self._waiting)))
            return
        COLLECTED_EVENTS.labels("joined").inc(2)
        answer, question = (half, other.half) if is_answer else (other.half, half)
        assert isinstance(answer, Answer) and isinstance(question, Asked)
        self._keep(identity, predictor, answer, question)

    def expire(self, now: float | None = None) -> None:
        """Give up on what has waited long enough; at its end all."""
        limit = monotonic() if now is None else now
        while self._waiting:
            oldest = next(iter(self._waiting))
            if self._waiting[oldest].until > limit:
                return
            self._give_up(oldest)

    def _give_up(self, key: tuple[str, bool]) -> None:
        alone = self._pop(key)
        assert alone is not None
        if isinstance(alone.half, Answer):
            COLLECTED_EVENTS.labels("unasked").inc()
            self._keep(key[0], alone.predictor, alone.half, None)
        else:
            COLLECTED_EVENTS.labels("unanswered").inc()

    def _pop(self, key: tuple[str, bool]) -> _Waiting | None:
        found = self._waiting.pop(key, None)
        if found is not None:
            self._held -= _size(found.half)
        return found


def _size(half: Half) -> int:
    if isinstance(half, Asked):
        return half.size
    return sum(map(len, half.labels)) + sum(map(_held, half.outputs.values()))


def _held(values: Array) -> int:
    """NumPy counts where objects are, not the objects."""
    return values.nbytes + (sum(map(len, values.flat)) if values.dtype == object else 0)
