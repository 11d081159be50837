"""Samples that ``bonafide deliver --local`` recorded on this machine."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bonafide.delivery.rollout.samples import NONE, Series, Times
from bonafide.errors import DeliveryError
from bonafide.home import home

KEPT_SECONDS = 8 * 86_400.0
BUSY_SECONDS = 10
# A row holds all of a metric's values that one scrape of one pod found, so that a day is small and an hour is
# read at once. In what order they stand is said once.
SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS layout (
    id INTEGER PRIMARY KEY, environment TEXT, task TEXT, metric TEXT, predictor TEXT, pod TEXT, labels TEXT,
    UNIQUE (environment, task, metric, predictor, pod, labels)
);
CREATE TABLE IF NOT EXISTS scrape (
    layout INTEGER, time REAL, counts BLOB, PRIMARY KEY (layout, time)
) WITHOUT ROWID;
"""
WHICH = "predictor = ? AND pod = ? AND labels = ?"
WHOSE = "environment = ? AND task = ? AND metric = ?"
DTYPE = np.dtype("<f8")

Found = Mapping[str, Sequence[tuple[Mapping[str, str], float]]]
"""By metric the labels and the value of each series."""


class Recorded:
    """The samples of one task in one environment; safe to read while another process writes.

    Args:
        path: of the database; by default this machine's.
    """

    def __init__(self, environment: str, task: str, path: Path | None = None) -> None:
        self._whose = environment, task
        self._path = path or home() / "samples.db"

    def append(self, predictor: str, pod: str, time: float, found: Found) -> None:
        """Keep what one scrape found, and forget what is older than eight days.

        Raises:
            DeliveryError: the database cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._opened() as database:
                database.executescript(SCHEMA)
                for metric, series in found.items():
                    labels = json.dumps([dict(each) for each, _ in series])
                    values = np.array([value for _, value in series], DTYPE).tobytes()
                    layout = _layout(database, (*self._whose, metric, predictor, pod, labels))
                    database.execute("INSERT OR REPLACE INTO scrape VALUES (?, ?, ?)", (layout, time, values))
                _forget(database, time - KEPT_SECONDS)
        except (OSError, sqlite3.Error) as error:
            raise DeliveryError(
                f"samples cannot be kept in {self._path}: {error}; mend it or remove it"
            ) from error

    def read(
        self, metric: str, start: float, end: float, step: float = 0, where: Mapping[str, str] = NONE
    ) -> Sequence[Series]:
        """All series of a metric as they were scraped from ``start`` to ``end``, in seconds since 1970.

        Args:
            step: keeps the last sample of each ``step`` seconds; 0 keeps all.

        Raises:
            DeliveryError: nothing was recorded, or the database cannot be read.
        """
        if not self._path.exists():
            raise DeliveryError(f"there are no samples in {self._path}; run bonafide deliver --local")
        parts: dict[tuple[str, str, str], list[tuple[Times, Times]]] = {}
        try:
            with self._opened() as database:
                for predictor, pod, labels, times, values in _blocks(
                    database, (*self._whose, metric), start, end
                ):
                    kept = _last_of_each(times, start, step)
                    for each, column in zip(json.loads(labels), values[kept].T, strict=True):
                        if not where.items() <= {**each, "predictor": predictor}.items():
                            continue
                        key = predictor, pod, json.dumps(each, sort_keys=True)
                        parts.setdefault(key, []).append((times[kept], column))
        except (OSError, sqlite3.Error) as error:
            raise DeliveryError(f"samples cannot be read from {self._path}: {error}") from error
        return [
            Series(predictor, pod, metric, json.loads(labels), *_joined(found))
            for (predictor, pod, labels), found in parts.items()
        ]

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=BUSY_SECONDS)) as database, database:
            yield database


def _layout(database: sqlite3.Connection, key: tuple[str, ...]) -> int:
    database.execute("INSERT OR IGNORE INTO layout VALUES (NULL, ?, ?, ?, ?, ?, ?)", key)
    query = f"SELECT id FROM layout WHERE {WHOSE} AND {WHICH}"  # noqa: S608
    return int(database.execute(query, key).fetchone()[0])


def _forget(database: sqlite3.Connection, before: float) -> None:
    database.execute("DELETE FROM scrape WHERE layout IN (SELECT id FROM layout) AND time < ?", (before,))
    database.execute("DELETE FROM layout WHERE NOT EXISTS (SELECT 1 FROM scrape WHERE layout = layout.id)")


def _blocks(
    database: sqlite3.Connection, whose: tuple[str, str, str], start: float, end: float
) -> Iterator[tuple[str, str, str, Times, Times]]:
    """Predictor, pod, labels, times FP64 [S] and values FP64 [S, L] of each layout, in the order of time."""
    query = f"SELECT id, predictor, pod, labels FROM layout WHERE {WHOSE} ORDER BY id"  # noqa: S608
    for layout, predictor, pod, labels in database.execute(query, whose).fetchall():
        rows = database.execute(
            "SELECT time, counts FROM scrape WHERE layout = ? AND time BETWEEN ? AND ? ORDER BY time",
            (layout, start, end),
        ).fetchall()
        if rows:
            values = np.frombuffer(b"".join(counts for _, counts in rows), DTYPE).reshape(len(rows), -1)
            yield predictor, pod, labels, np.array([time for time, _ in rows]), values


def _last_of_each(times: Times, start: float, step: float) -> npt.NDArray[np.bool_]:
    """Which samples are the last of their step; a step's right edge belongs to it, as in Prometheus."""
    if not step:
        return np.ones(len(times), bool)
    steps = np.ceil((times - start) / step)
    return np.append(steps[1:] != steps[:-1], True)


def _joined(found: list[tuple[Times, Times]]) -> tuple[Times, Times]:
    times, values = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(times, kind="stable")
    return times[order], values[order]
