"""What somebody asks about: image files, or a table's columns by name."""

from collections.abc import Mapping, Sequence

from bonafide.model.info import ModelInfo
from bonafide.serving.columns import Columns, rows_of
from bonafide.serving.compute.engine import Items

File = bytes | bytearray | memoryview
Sent = Sequence[File] | Columns


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
