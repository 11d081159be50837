"""How versions in service were found when somebody looked, as it is kept, and as Prometheus reads it."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from prometheus_client import Gauge
from sqlalchemy import ColumnElement, Connection, Select, func, insert, select, tuple_

from bonafide.feedback.database import Database
from bonafide.feedback.tables import InspectionRow
from bonafide.telemetry import metrics

TRAININGS = 2  # that are told of the past
DETECTORS = {"mmd", "ks", "uncertainty", "labels"}
KINDS = ("looks", "mix")
QUALITIES = {"reviewed", "accuracy", "accuracy_low", "accuracy_high", "accuracy_floor"}
AHEAD = timedelta(hours=1)  # of this machine's clock; what is dated later tells nothing
Query = Select[Any]
_COLUMNS = [getattr(InspectionRow, name) for name in InspectionRow.__table__.columns.keys()]  # noqa: SIM118


@dataclass(frozen=True)
class Inspection:
    """What a look at a version in service found, and whether training began for it.

    ``kind`` is that of the drift check, ``compared`` the number of distinct inputs. ``scores`` are -log10 of
    the corrected p-values by detector, held against ``threshold``. ``quality`` has ``accuracy_floor`` and,
    where it is known, ``accuracy``, ``accuracy_low``, ``accuracy_high`` and ``reviewed``. ``data`` is the
    digest of the confirmed feedback there was; empty without any.
    """

    id: str
    task: str
    version: str
    kind: str
    compared: int
    threshold: float
    scores: Mapping[str, float] = field(default_factory=dict)
    quality: Mapping[str, float] = field(default_factory=dict)
    retrain: bool = False
    why: str = ""
    data: str = ""
    time: datetime = field(default_factory=lambda: datetime.now(UTC))


class Past(NamedTuple):
    """Of a task the newest inspection, and those for which training began, the newest first.

    ``since`` are the versions that were looked at after the newest of these.
    """

    newest: Inspection | None = None
    trainings: tuple[Inspection, ...] = ()
    since: frozenset[str] = frozenset()


class Inspections:
    """Those of a database.

    Raises:
        StoreError: by each method, the database does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, identity: str, task: str, make: Callable[[Past], Inspection]) -> Inspection:
        """Keep one, unless that of the id is there; of several at once for a task, one comes after the other.

        Args:
            make: gives the one to keep.

        Returns:
            the one that is kept.
        """
        with self._database.writing() as connection:
            if not self._database.is_file:
                connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"inspection {task}"))))
            if kept := _read(connection, _query(InspectionRow.id == identity)):
                return kept[0]
            made = make(_past(connection, task))
            connection.execute(insert(InspectionRow).values(**vars(made)))
        return made

    def past(self, task: str) -> Past:
        """What :meth:`add` would hand over now."""
        with self._database.reading() as connection:
            return _past(connection, task)

    def find(self, identity: str) -> Inspection | None:
        """That of an id."""
        found = self._read(_query(InspectionRow.id == identity))
        return found[0] if found else None

    def newest(self, task: str, most: int) -> list[Inspection]:
        """The newest of a task first."""
        return self._read(_query(InspectionRow.task == task).order_by(InspectionRow.time.desc()).limit(most))

    def last(self, since: datetime) -> list[Inspection]:
        """The newest of each task, of those since then."""
        latest = select(InspectionRow.task, func.max(InspectionRow.time)).group_by(InspectionRow.task)
        of = tuple_(InspectionRow.task, InspectionRow.time)
        return self._read(_query(of.in_(latest.where(_is_past())), InspectionRow.time >= since))

    def _read(self, query: Query) -> list[Inspection]:
        with self._database.reading() as connection:
            return _read(connection, query)


def show(found: Inspection) -> None:
    """Set the gauges of a task; what is not known any more goes."""
    for name in DETECTORS - found.scores.keys():
        _forget(metrics.DRIFT_SCORE, found.task, name)
        _forget(metrics.DRIFT_THRESHOLD, found.task, name)
    for name in QUALITIES - found.quality.keys():
        _forget(metrics.QUALITY, found.task, name)
    for name, score in found.scores.items():
        metrics.DRIFT_SCORE.labels(found.task, name).set(score)
        metrics.DRIFT_THRESHOLD.labels(found.task, name).set(found.threshold)
    for kind in KINDS:
        metrics.DRIFT_DETECTED.labels(found.task, kind).set(found.kind == kind)
    metrics.DRIFT_COMPARED.labels(found.task).set(found.compared)
    metrics.DRIFT_CHECKED.labels(found.task).set(found.time.timestamp())
    for name, value in found.quality.items():
        metrics.QUALITY.labels(found.task, name).set(value)


def hide(task: str) -> None:
    """Take away the gauges of a task that nobody looks at any more."""
    for name in DETECTORS:
        _forget(metrics.DRIFT_SCORE, task, name)
        _forget(metrics.DRIFT_THRESHOLD, task, name)
    for name in QUALITIES:
        _forget(metrics.QUALITY, task, name)
    for kind in KINDS:
        _forget(metrics.DRIFT_DETECTED, task, kind)
    _forget(metrics.DRIFT_COMPARED, task)
    _forget(metrics.DRIFT_CHECKED, task)


def _forget(gauge: Gauge, *labels: str) -> None:
    with suppress(KeyError):
        gauge.remove(*labels)


def _past(connection: Connection, task: str) -> Past:
    found = _query(InspectionRow.task == task, _is_past()).order_by(InspectionRow.time.desc())
    newest = _read(connection, found.limit(1))
    trainings = _read(connection, found.where(InspectionRow.retrain).limit(TRAININGS))
    if not trainings:
        return Past(next(iter(newest), None))
    later = select(InspectionRow.version).distinct().where(InspectionRow.task == task, _is_past())
    versions = connection.execute(later.where(InspectionRow.time > trainings[0].time)).scalars()
    return Past(next(iter(newest), None), tuple(trainings), frozenset(versions))


def _is_past() -> ColumnElement[bool]:
    return InspectionRow.time <= datetime.now(UTC) + AHEAD


def _query(*of: ColumnElement[bool]) -> Query:
    return select(*_COLUMNS).where(*of)


def _read(connection: Connection, query: Query) -> list[Inspection]:
    return [Inspection(**row._mapping) for row in connection.execute(query)]
