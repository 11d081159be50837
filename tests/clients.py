"""Clients that ask without a pause."""

import threading
from collections.abc import Callable, Iterable
from typing import Self

from tests.patience import PATIENCE_SECONDS


class Clients:
    """Threads that ask until the block ends.

    Args:
        asks: what each does; it ends where ``stopped`` is set.
    """

    def __init__(self, asks: Iterable[Callable[[], None]]) -> None:
        self.stopped = threading.Event()
        self._threads = [threading.Thread(target=ask) for ask in asks]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.stopped.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
