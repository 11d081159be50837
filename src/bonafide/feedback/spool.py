"""Predictions on disk until the database has them: a folder with one file for each batch.

A file appears whole or not at all, and a batch is safe once its file is there: the file and its name are on
the disk by then. A file goes when the database has committed its rows. A kill in between leaves a file whose
rows are there already, which changes nothing when it is read again. So processes may share a folder, and
whoever comes first takes a dead one's files.
"""

import logging
import os
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bonafide.errors import BonafideError
from bonafide.feedback.prediction import Prediction, decode, encode
from bonafide.files import write_bytes
from bonafide.telemetry.metrics import PREDICTIONS_STORED, SPOOL_BYTES

LIMIT_BYTES = 512 * 2**20
SUFFIX, DAMAGED = ".jsonl", ".damaged"
MODE = 0o600  # of what people sent

logger = logging.getLogger(__name__)


class SpoolFullError(BonafideError):
    """There is no room for another batch."""


class Spool:
    """At most about ``limit`` bytes of predictions in ``folder``."""

    def __init__(self, folder: Path, limit: int = LIMIT_BYTES) -> None:
        self._folder = folder
        self._limit = limit
        self._bytes = 0
        self.waiting()

    def append(self, batch: Sequence[Prediction]) -> None:
        """Keep a batch; it is safe when this returns.

        Raises:
            SpoolFullError: there are too many bytes.
            BonafideError: the disk refuses it.
        """
        content = b"".join(encode(each) + b"\n" for each in batch)
        if self._bytes + len(content) > self._limit:
            raise SpoolFullError(
                f"{self._folder} holds {self._bytes:,} bytes of predictions, {self._limit:,} is the most; "
                "mend the database"
            )
        write_bytes(self._folder / f"{time.time_ns():020}-{secrets.token_hex(4)}{SUFFIX}", content, MODE)
        self._sync()
        self._grow(len(content))

    def waiting(self) -> list[Path]:
        """The files, the oldest first, also those that other processes wrote."""
        found = sorted(path for path in self._folder.glob(f"*{SUFFIX}") if path.name[0] != ".")
        self._bytes = 0
        for path in found:
            with suppress(FileNotFoundError):  # another process took it
                self._grow(path.stat().st_size)
        SPOOL_BYTES.set(self._bytes)
        return found

    def read(self, path: Path) -> list[Prediction]:
        """A file's predictions; none where another process took it. What is damaged is kept aside, once."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return []
        batch: list[Prediction] = []
        good: list[bytes] = []
        lines = content.removesuffix(b"\n").split(b"\n") if content else []
        for line in lines:
            with suppress(ValueError):
                batch.append(decode(line))
                good.append(line + b"\n")
        if damaged := len(lines) - len(good):
            aside = path.with_suffix(DAMAGED)
            write_bytes(aside, content, MODE)
            write_bytes(path, b"".join(good), MODE)
            PREDICTIONS_STORED.labels("dropped").inc(damaged)
            logger.error("spooled predictions are damaged", extra={"file": str(aside), "lines": damaged})
        return batch

    def remove(self, path: Path) -> None:
        """The database has it."""
        path.unlink(missing_ok=True)

    def _grow(self, size: int) -> None:
        self._bytes += size
        SPOOL_BYTES.set(self._bytes)

    def _sync(self) -> None:
        """A file's name is in its folder, which is written by itself."""
        handle = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
