"""``manifest.csv``: what a folder's file names cannot tell."""

import csv
import io
from collections.abc import Iterator

from bonafide.data.dataset import SPLITS
from bonafide.errors import DataError

MANIFEST = "manifest.csv"
COLUMNS = ("path", "group", "generator", "source", "split")

Row = dict[str, str]


def read_manifest(content: bytes, folder: str, present: set[str]) -> dict[str, Row]:
    """The manifest's rows by image.

    Args:
        content: the manifest's bytes.
        folder: where it lies, for messages.
        present: the images that the folder holds, as the manifest names them.

    Raises:
        DataError: it is no CSV file in UTF-8 with these columns, or a line does not fit.
    """
    path = f"{folder}/{MANIFEST}"
    rows: dict[str, Row] = {}
    try:
        for place, row in _lines(content.decode("utf-8-sig"), path):
            if problem := _problem(row, rows, present, folder):
                raise DataError(f"{place}: {problem}")
            rows[row.pop("path")] = row
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no CSV file in UTF-8: {error}; save it as one") from error
    return rows


def _lines(text: str, path: str) -> Iterator[tuple[str, Row]]:
    """Each row and the words for where it stands."""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = reader.fieldnames or []
    if "path" not in columns or (unknown := set(columns) - set(COLUMNS)):
        problem = "no column path" if "path" not in columns else f"unknown columns {sorted(unknown)}"
        raise DataError(f"{path}: {problem}; its columns may be {', '.join(COLUMNS)}")
    for row in reader:
        yield f"{path} line {reader.line_num}", row


def _problem(row: Row, before: dict[str, Row], present: set[str], folder: str) -> str:
    if None in row:
        return "more values than columns; quote commas"
    if (name := row["path"]) in before:
        return f"{name} stands twice; keep one line"
    if name not in present:
        return f"no image {name!r} in {folder}; write paths relative to that folder, with /"
    if (split := row.get("split")) and split not in SPLITS:
        return f"split {split!r} is none of {', '.join(SPLITS)}"
    return ""
