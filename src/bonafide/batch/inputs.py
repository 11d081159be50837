"""What is scored into one table, and the answer to each."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bonafide.serving.compute.engine import Engine


class Answer(NamedTuple):
    """One input's label (an index), whether it is uncertain, and its float32 [K] probabilities.

    Or ``error``, ``reason: message``, of why it has none of these. ``name`` is an image's path, or the number
    of a row.
    """

    name: str | int
    label: int | None = None
    uncertain: bool | None = None
    probabilities: npt.NDArray[np.float32] | None = None
    error: str | None = None


class Inputs(NamedTuple):
    """Images or rows, always in the same order.

    ``noun`` is what people call them, ``key`` the table's column that names them. ``skipped`` other files
    were passed over. ``digest()`` changes when a file of rows does; images are those that were listed, and
    one that is gone or another by now is scored as it is. ``answers(start, engine, cores)`` scores those from
    number ``start`` on; the engine has one thread a run.
    """

    noun: str
    key: str
    total: int
    skipped: int
    digest: Callable[[], str]
    answers: Callable[[int, Engine, int], Iterator[Answer]]
