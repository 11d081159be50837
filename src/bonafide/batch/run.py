"""Scoring a folder, a bucket or a table into one file; a killed run goes on and ends with the same bytes."""

import filecmp
import hashlib
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version as installed
from itertools import islice
from pathlib import Path
from typing import get_args

import pyarrow as pa

from bonafide import __version__
from bonafide.batch import bucket, table
from bonafide.batch.inputs import Inputs
from bonafide.batch.workspace import opened, unfinished
from bonafide.cores import available_cores
from bonafide.data.header import Limits
from bonafide.errors import BonafideError, ConfigError
from bonafide.home import home
from bonafide.modality import arm
from bonafide.progress import progress
from bonafide.serving.compute.engine import Engine

PART = 1_000


@dataclass(frozen=True)
class Summary:
    """What the output holds: inputs ``scored`` and, by reason, ``failed``; people call them ``noun``.

    ``resumed`` of them came from an earlier run, the others took ``seconds``; ``skipped`` files are none.
    """

    noun: str
    scored: int
    failed: dict[str, int]
    resumed: int
    skipped: int
    seconds: float

    def counts(self) -> dict[str, int]:
        """All, scored and failed, and the failed ones by reason."""
        failed = {f"failed_{reason.replace('-', '_')}": count for reason, count in self.failed.items()}
        total = sum(self.failed.values())
        return {self.noun: self.scored + total, "scored": self.scored, "failed": total, **failed}

    @property
    def per_second(self) -> float:
        """Of this run."""
        return (self.scored + sum(self.failed.values()) - self.resumed) / self.seconds


def score(
    where: str,
    output: Path,
    engine: Engine,
    version: str,
    *,
    kind: table.Format,
    workspace: Path | None = None,
    overwrite: bool = False,
    copy_to: str = "",
) -> Summary:
    """Write a row for each image or row that ``where`` stands for, in their order.

    Args:
        where: as of :func:`bonafide.batch.listing.listed`, or of :func:`bonafide.batch.rows.rows`.
        engine: with one thread a run; each core has a run of its own.
        version: of the model, told in Parquet's metadata.
        workspace: the folder that keeps finished parts until ``output`` is whole; one of its own for these
            inputs and this model, in the state folder, if None.
        copy_to: an address in a bucket that gets the table too; ``overwrite`` holds for it as well.

    Raises:
        BonafideError: there is nothing to score, ``output`` is there already, another run writes it, an
            unfinished run had other inputs or another model, or the disk refused a write.
    """
    if kind not in get_args(table.Format):
        raise ConfigError(
            f"{kind!r} is no format of a table; there is {' and '.join(get_args(table.Format))}"
        )
    if workspace and not unfinished(workspace):
        keep(output, overwrite)
    if copy_to:
        bucket.refuse_taken(copy_to, overwrite)
    if output.exists() and Path(where).exists() and output.samefile(where):
        raise ConfigError(f"{output} is what is scored; name another file for the answers")
    started = time.monotonic()
    info = engine.info
    inputs = arm(info.input.modality, "score")(where, info)
    about = {"model": info.task, "version": version, "digest": info.model_digest}
    columns = table.schema(inputs.key, info.labels, about)
    digest = inputs.digest()
    identity = _identity(inputs.noun, digest, engine, version)
    with opened(workspace or _own_workspace(identity), identity) as space:
        parts = [space.part(number) for number in range(-(-inputs.total // PART))]
        begun = space.finished()
        keep(output, overwrite or begun == len(parts))
        _score_parts(inputs, parts, begun, columns, engine)
        if inputs.digest() != digest:
            space.remove()
            raise BonafideError(f"{where} has changed while it was scored; run again")
        reasons = _publish(parts, columns, output, kind, overwrite)
        if copy_to:
            bucket.upload(output, copy_to)
        space.remove()
    scored = reasons.pop("", 0)
    seconds = time.monotonic() - started
    resumed = min(begun * PART, inputs.total)
    return Summary(inputs.noun, scored, dict(reasons), resumed, inputs.skipped, seconds)


def keep(output: Path, replaceable: bool) -> None:
    """Refuse an output that is there already and may not be replaced.

    Raises:
        BonafideError: names it.
    """
    if output.exists() and not replaceable:
        raise BonafideError(f"{output} is there already; name another file, or say --overwrite")


def _identity(noun: str, digest: str, engine: Engine, version: str) -> dict[str, str]:
    return {
        noun: digest,
        "model": f"{engine.info.model_digest}, version {version}",
        "limits": str(asdict(Limits())),
        "code": f"bonafide {__version__}, onnxruntime {installed('onnxruntime')}",
    }


def _own_workspace(identity: dict[str, str]) -> Path:
    return home() / "batch" / hashlib.sha256(str(identity).encode()).hexdigest()[:16]


def _score_parts(
    inputs: Inputs, parts: Sequence[Path], begun: int, columns: pa.Schema, engine: Engine
) -> None:
    with progress(f"Scoring {inputs.noun}", inputs.total) as advance:
        advance(min(begun * PART, inputs.total))
        scored = inputs.answers(begun * PART, engine, available_cores())
        for part in parts[begun:]:
            rows = []
            for answer in islice(scored, PART):
                rows.append(answer)
                advance()
            if not rows:  # they are fewer by now, which the digest tells
                return
            table.write_part(part, columns, engine.info.labels, rows)


def _publish(
    parts: Sequence[Path], columns: pa.Schema, output: Path, kind: table.Format, overwrite: bool
) -> Counter[str]:
    """Move the joined parts into place; returns the rows by reason of error.

    An earlier run may have been killed just after it moved them: then the same bytes are there.
    """
    joined = output.with_name(f".{output.name}.joined")
    try:
        reasons = table.join(parts, columns, joined, kind)
        with joined.open("rb") as stream:
            os.fsync(stream.fileno())
        keep(output, overwrite or (output.exists() and filecmp.cmp(joined, output, shallow=False)))
        joined.replace(output)
    except OSError as error:
        raise BonafideError(f"cannot write {output}: {error}; make room, and run it again") from error
    return reasons
