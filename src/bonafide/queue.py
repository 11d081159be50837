"""Runs of pipelines that were asked for: a queue in the state folder, and one worker for each task.

Whoever asks adds a run and wakes the task's worker: a process of its own, which outlives him, performs one
run after the other, and ends when none waits. What a worker that was killed left is taken up by the next one.
"""

import fcntl
import json
import os
import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from bonafide.config import Config
from bonafide.errors import BonafideError
from bonafide.home import home

PIPELINES = ("training", "monitoring")
MOST_WAITING, MOST_WAITING_EACH = 100, 25
KEPT = 1000
LOG_BYTES = 2**20
LOOKS, LOOK_SECONDS = 5, 0.02
SECRETS = ("BONAFIDE_API_SECRET", "BONAFIDE_API_RATE_STORAGE")
SCHEMA = """
    CREATE TABLE IF NOT EXISTS runs (
        number INTEGER PRIMARY KEY, id TEXT UNIQUE, pipeline TEXT, task TEXT, state TEXT, content TEXT
    );
    CREATE INDEX IF NOT EXISTS by_state ON runs (state, task);
"""
FORGET = """
    DELETE FROM runs WHERE state NOT IN ('queued', 'running')
        AND number <= (SELECT number FROM runs ORDER BY number DESC LIMIT 1 OFFSET ?)
"""
COUNTS = "SELECT task, state, COUNT(*) FROM runs GROUP BY task, state"
# What keeps an alert from starting another one: unfinished runs, and the newest two that alerts started.
BEFORE = """
    SELECT content FROM runs
    WHERE pipeline = ?1 AND task = ?2 AND (state IN ('queued', 'running') OR number IN (
        SELECT number FROM runs
        WHERE pipeline = ?1 AND task = ?2 AND json_extract(content, '$.alert') != ''
        ORDER BY number DESC LIMIT 2
    ))
    ORDER BY state IN ('queued', 'running') DESC, number DESC
"""
# SQLite takes the state from the row that has the greatest number.
LAST = "SELECT task, state, MAX(number) FROM runs WHERE state IN ('succeeded', 'failed') GROUP BY task"
TAKE_UP = "SELECT content FROM runs WHERE task = ? AND state = ? ORDER BY number LIMIT 1"

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
Setting = bool | int | Annotated[float, Field(allow_inf_nan=False)] | Annotated[str, Field(max_length=255)]


class FullError(BonafideError):
    """Too many runs wait."""


class StepState(Config):
    """A step of a run, as its engine tells it."""

    name: str
    state: Literal["running", "succeeded", "failed"]
    seconds: Annotated[float, Field(description="How long it took, or 0 while it works.")] = 0
    cached: Annotated[bool, Field(description="Whether its outputs are those of an earlier run.")] = False


class Run(Config):
    """A run that was asked for, and how it stands. What a newer version noted besides is passed over."""

    model_config = ConfigDict(extra="ignore")

    id: str = Field(default_factory=lambda: secrets.token_hex(8))
    pipeline: str
    task: str
    settings: dict[str, Setting] = Field(default={}, description="What differs from the task's file.")
    alert: Annotated[str, Field(description="The alert that started it; empty for a caller's own.")] = ""
    engine: Annotated[str, Field(description="Where it runs; empty for the service's own machine.")] = ""
    subject: Annotated[str, Field(description="Who asked for it.")] = ""
    state: State = "queued"
    cancelling: Annotated[bool, Field(description="Whether it is being cancelled.")] = False
    created: datetime = Field(default_factory=lambda: datetime.now(UTC))
    begun: datetime | None = None
    ended: datetime | None = None
    attempts: Annotated[int, Field(description="How often it was begun; again after a kill.")] = 0
    remote: Annotated[str, Field(description="Its id on the engine.")] = ""
    link: Annotated[str, Field(description="Where the engine shows it.")] = ""
    steps: tuple[StepState, ...] = ()
    promoted: Annotated[bool, Field(description="Whether the model went into service.")] = False
    message: Annotated[
        str, Field(description="Why it failed, what the gate refused, or why nothing was trained.")
    ] = ""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state not in ("queued", "running")

    @property
    def overrides(self) -> list[str]:
        """The settings as :func:`bonafide.task.load_task` takes them."""
        return [f"{key}={json.dumps(value)}" for key, value in self.settings.items()]

    def asks_for(self) -> tuple[object, ...]:
        """What is the same in two requests for the same."""
        return self.pipeline, self.task, self.settings, self.engine


class Queue:
    """The runs of this state folder; safe to use from several processes at once.

    Raises:
        BonafideError: by each method, the folder cannot be written.
    """

    def __init__(self) -> None:
        self._folder = home() / "queue"

    def add(self, asked: Run) -> Run:
        """Let a run wait; if one that asks for the same waits already, that one is given back instead.

        The oldest of more than ``KEPT`` runs are forgotten once they have ended.

        Raises:
            FullError: too many wait, of all callers or of this one.
        """
        with self._table() as table:
            return _add(table, asked)

    def add_for_alert(self, asked: Run, rest_seconds: float) -> Run:
        """Let a run wait, unless its task has one that has not ended, or an alert started one not long ago.

        Then that one is given back. So an alert starts one run, however often and by whomever it is sent, and
        another one if that failed or was cancelled.

        Args:
            rest_seconds: how long after an alert's run was asked for none is started.

        Raises:
            FullError: as :meth:`add`.
        """
        with self._table() as table:
            before = _read(table.execute(BEFORE, (asked.pipeline, asked.task)))
            recent = [run for run in before if not run.has_ended or _age(run) < rest_seconds]
            if len(recent) == 1 and recent[0].state in ("failed", "cancelled"):
                recent = []
            return recent[0] if recent else _add(table, asked)

    def find(self, identity: str) -> Run | None:
        """The run of that id."""
        with self._table() as table:
            found = _read(table.execute("SELECT content FROM runs WHERE id = ?", (identity,)))
        return found[0] if found else None

    def newest(self, pipeline: str, most: int) -> list[Run]:
        """The newest runs of a pipeline."""
        query = "SELECT content FROM runs WHERE pipeline = ? ORDER BY number DESC LIMIT ?"
        with self._table() as table:
            return _read(table.execute(query, (pipeline, most)))

    def tasks(self) -> set[str]:
        """The tasks of which a run waits, or was begun and has not ended."""
        with self._table() as table:
            query = "SELECT DISTINCT task FROM runs WHERE state IN ('queued', 'running')"
            return {name for (name,) in table.execute(query)}

    def counts(self) -> dict[tuple[str, str], int]:
        """How many runs there are, by task and state; no entry where there is none."""
        with self._table() as table:
            return {(task, state): count for task, state, count in table.execute(COUNTS)}

    def last(self) -> dict[str, str]:
        """How the newest run ended that was not cancelled, by task."""
        with self._table() as table:
            return {task: state for task, state, _ in table.execute(LAST)}

    def begin(self, task: str) -> Run | None:
        """For the task's worker: the run to perform now. One that was begun and has not ended comes first."""
        with self._table() as table:
            found = _read(table.execute(TAKE_UP, (task, "running")))
            found = found or _read(table.execute(TAKE_UP, (task, "queued")))
            if not found:
                return None
            begun = found[0].begun or datetime.now(UTC)
            changes = {"state": "running", "begun": begun, "attempts": found[0].attempts + 1, "steps": ()}
            return _write(table, found[0], changes)

    def note(self, identity: str, **changes: Any) -> None:
        """For the task's worker: change a run; a state that ends it gets its time."""
        with self._table() as table:
            (run,) = _read(table.execute("SELECT content FROM runs WHERE id = ?", (identity,)))
            _write(table, run, changes)

    def cancel(self, identity: str) -> None:
        """End a run: at once if it waits, soon if a worker is at it. One that has ended stays as it is."""
        with self._table() as table:
            (run,) = _read(table.execute("SELECT content FROM runs WHERE id = ?", (identity,)))
            if run.state == "queued":
                _write(table, run, {"state": "cancelled"})
            elif run.state == "running":
                _write(table, run, {"cancelling": True})

    def is_cancelling(self, identity: str) -> bool:
        """For the task's worker: whether to end the run that it is at."""
        found = self.find(identity)
        return found is not None and found.cancelling

    def wake(self, task: str) -> None:
        """Start the task's worker if it has none; it ends when no run waits."""
        if not self._is_idle(task):
            return
        environment = {name: value for name, value in os.environ.items() if name not in SECRETS}
        with self._open(f"{task}.log") as log:
            if log.tell() > LOG_BYTES:
                log.truncate(0)
            worker = _started(task, environment | {"BONAFIDE_HOME": str(home())}, log)
        Thread(target=worker.wait, daemon=True).start()

    def wake_all(self) -> None:
        """Start the workers of all runs that wait, or were left by a kill."""
        for task in self.tasks():
            self.wake(task)

    @contextmanager
    def alone(self, task: str) -> Iterator[bool]:
        """Be the task's only worker for a while; False if another process is."""
        with self._open(f"{task}.lock") as stream:
            yield any(_locked(stream) for _ in range(LOOKS))

    def _is_idle(self, task: str) -> bool:
        with self._open(f"{task}.lock") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    @contextmanager
    def _table(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        path = self._folder / "runs.db"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=30, isolation_level=None)
            try:
                connection.executescript(SCHEMA)
                connection.execute("BEGIN IMMEDIATE")
                with connection:
                    yield connection
            finally:
                connection.close()
        except (sqlite3.Error, OSError) as error:
            raise _refused(path, error) from error

    def _open(self, name: str) -> Any:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return (self._folder / name).open("a+b")
        except OSError as error:
            raise _refused(self._folder, error) from error


def _locked(stream: Any) -> bool:
    """Whoever only looks holds the lock for a moment."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(LOOK_SECONDS)
        return False
    return True


def _started(task: str, environment: dict[str, str], log: Any) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603  (a task's name, and no shell)
            [sys.executable, "-m", "bonafide", "pipeline", "work", task],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    except OSError as error:
        raise BonafideError(f"cannot start the worker of {task}: {error.strerror}; wait a while") from error


def _refused(path: Path, error: Exception) -> BonafideError:
    return BonafideError(f"cannot use {path}: {error}; make room or mend it")


def _read(rows: sqlite3.Cursor) -> list[Run]:
    return [Run.model_validate_json(content) for (content,) in rows]


def _add(table: sqlite3.Connection, asked: Run) -> Run:
    waiting = _read(table.execute("SELECT content FROM runs WHERE state = 'queued'"))
    for run in waiting:
        if run.asks_for() == asked.asks_for():
            return run
    own = sum(run.subject == asked.subject for run in waiting)
    if len(waiting) >= MOST_WAITING or own >= MOST_WAITING_EACH:
        told = f"{len(waiting)} runs wait already, {own} of them yours"
        raise FullError(f"{told}; wait for some of them, or cancel them")
    table.execute(FORGET, (KEPT,))
    table.execute(
        "INSERT INTO runs (id, pipeline, task, state, content) VALUES (?, ?, ?, ?, ?)",
        (asked.id, asked.pipeline, asked.task, asked.state, asked.model_dump_json()),
    )
    return asked


def _age(run: Run) -> float:
    """Seconds since it was asked for; also where the clock was set back since."""
    return abs((datetime.now(UTC) - run.created).total_seconds())


def _write(table: sqlite3.Connection, run: Run, changes: dict[str, Any]) -> Run:
    changed = Run.model_validate({**dict(run), **changes})
    if changed.has_ended and not changed.ended:
        changed = changed.model_copy(update={"ended": datetime.now(UTC)})
    values = (changed.state, changed.model_dump_json(), run.id)
    table.execute("UPDATE runs SET state = ?, content = ? WHERE id = ?", values)
    return changed
