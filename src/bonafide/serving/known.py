"""What is kept of each image or row that was asked about, beside the answer."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bonafide.serving.columns import Rows, stacked
from bonafide.serving.sent import File, Sent


class Known(NamedTuple):
    """A file, of which the rest follows; or what is known without one."""

    file: File | None = None
    statistics: Mapping[str, float] = {}
    sha256: str | None = None


def known(sent: Sent, columns: Sequence[str]) -> list[Known]:
    """Of each.

    Args:
        columns: names of a table's, in the model's order.

    Raises:
        RequestError: the columns are other ones.
    """
    if isinstance(sent, Mapping):
        return _rows(stacked(sent, columns), columns)
    return [Known(file) for file in sent]


def _rows(rows: Rows, columns: Sequence[str]) -> list[Known]:
    """A row's statistics are its numbers; its digest is that of a dataset's row."""
    return [
        Known(None, dict(zip(columns, row.tolist(), strict=True)), hashlib.sha256(row.tobytes()).hexdigest())
        for row in rows.astype("<f4", copy=False)
    ]
