"""Where an unfinished run keeps its finished parts: one folder, one process at a time."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO

from bonafide.errors import BonafideError
from bonafide.files import write_json

IDENTITY, LOCK = "identity.json", "lock"


class Workspace:
    """A locked folder of parts, numbered from 0 without a gap."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def part(self, number: int) -> Path:
        """Where that part is, or will be."""
        return self._folder / f"{number:06}.parquet"

    def finished(self) -> int:
        """How many parts are there."""
        return next(number for number in count() if not self.part(number).exists())

    def remove(self) -> None:
        """The work is done. Parts without an identity count for nothing, should a kill leave some."""
        (self._folder / IDENTITY).unlink()
        shutil.rmtree(self._folder)


def unfinished(folder: Path) -> bool:
    """Whether a run that was killed left its work there."""
    return (folder / IDENTITY).exists()


@contextmanager
def opened(folder: Path, identity: Mapping[str, str]) -> Iterator[Workspace]:
    """Hold the workspace at ``folder``, made if it is not there, for one run.

    Args:
        identity: by a name for people all that the answers follow from.

    Raises:
        BonafideError: another run holds it, it belongs to a run of another identity, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError as error:
        raise BonafideError(f"cannot write {folder}: {error.strerror}; name another output") from error
    with lock:
        _take(lock, folder)
        _check(folder, identity)
        yield Workspace(folder)


def _take(lock: IO[str], folder: Path) -> None:
    """The kernel frees the lock of a killed process; one whose file is gone was that of a run just ending."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock.fileno()), (folder / LOCK).stat()):
            return
    except OSError:  # held, or gone
        pass
    raise BonafideError(f"another run is writing in {folder}; wait for its end, or name another output")


def _check(folder: Path, identity: Mapping[str, str]) -> None:
    path = folder / IDENTITY
    if not path.exists():
        for part in folder.glob("*.parquet"):
            part.unlink()
        write_json(path, dict(identity))
        return
    before = json.loads(path.read_text())
    if changed := [name for name in identity if identity[name] != before.get(name)]:
        raise BonafideError(
            f"{folder} holds an unfinished run with other {' and '.join(changed)}; remove that folder"
            " to start afresh, or name another output"
        )
