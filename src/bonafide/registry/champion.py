"""The version in service, noted before a run begins, so that one version places and judges all of it."""

import json
import tempfile
from pathlib import Path

from bonafide.files import copy, new_folder, write_json
from bonafide.registry import versions
from bonafide.registry.versions import PLACEMENT

NOTE = "champion.json"


def find(task: str) -> dict[str, str]:
    """The ``version`` in service and its ``package_digest``; both empty before the first promotion.

    The digest tells version 1 of one registry from version 1 of another, so that a cache can tell them too.

    Raises:
        DeliveryError: there is no registry, or it does not answer.
    """
    found = versions.champion(task)
    if found is None:
        return {"version": "", "package_digest": ""}
    return {"version": found.number, "package_digest": found.tags.get("package_digest", "")}


def write(task: str, out: Path) -> str:
    """Write ``out/champion.json``, the version in service, and ``out/placement.parquet``, its groups.

    Without a champion, or for one that has no placement, the table has no rows.

    Returns:
        the version's number, or an empty string.
    """
    found = find(task)
    number = found["version"]
    with new_folder(out, NOTE) as folder, tempfile.TemporaryDirectory() as scratch:
        placed = versions.placement(task, number, Path(scratch))
        if placed:
            copy(placed, folder / PLACEMENT)
        else:
            _write_empty(folder / PLACEMENT)
        write_json(folder / NOTE, found)
    return number


def read(folder: Path) -> str:
    """The number that :func:`write` noted."""
    return str(json.loads((folder / NOTE).read_text())["version"])


def _write_empty(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("group", pa.string()), ("split", pa.string())])
    pq.write_table(schema.empty_table(), path)
