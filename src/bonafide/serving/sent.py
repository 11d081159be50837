"""What somebody asks about: image files, or a table's columns by name."""

from collections.abc import Mapping, Sequence

import numpy as np

from bonafide.model.info import ModelInfo
from bonafide.serving.columns import ALL, Columns, Rows, rows_of
from bonafide.serving.compute.engine import Items

File = bytes | bytearray | memoryview
Sent = Sequence[File] | Columns


def sent_of(inputs: Sequence[File] | Sequence[Rows]) -> Sent:
    """Image files, or rows float32 [C] each, as they are asked about."""
    if isinstance(inputs[0], np.ndarray):
        return {ALL: np.stack(inputs)}
    return inputs  # type: ignore[return-value]


def items_of(sent: Sent, info: ModelInfo) -> Items:
    """What the engine of a model scores: each file, or all rows in one block.

    Raises:
        RequestError: a column or a value does not fit; the message names it.
        PackageError: the model takes the other kind.
    """
    if isinstance(sent, Mapping):
        return [rows_of(sent, info.table)]
    assert info.image
    return [memoryview(file) for file in sent]
