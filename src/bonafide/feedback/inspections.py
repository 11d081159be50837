"""How versions in service were found when somebody looked, as it is kept, and as Prometheus reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from bonafide.feedback.database import Database
from bonafide.feedback.tables import InspectionRow
from bonafide.telemetry import metrics

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


class Inspections:
    """Those of a database.

    Raises:
        StoreError: by each method, the database does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, found: Inspection) -> None:
        """Keep one; that of an id that is there stays as it was."""
        insert = sqlite.insert if self._database.is_file else postgresql.insert
        with self._database.writing() as connection:
            connection.execute(insert(InspectionRow).values(**vars(found)).on_conflict_do_nothing())

    def find(self, identity: str) -> Inspection | None:
        """That of an id."""
        found = self._read(select(*_COLUMNS).where(InspectionRow.id == identity))
        return found[0] if found else None

    def newest(self, task: str, most: int) -> list[Inspection]:
        """The newest of a task first."""
        query = select(*_COLUMNS).where(InspectionRow.task == task)
        return self._read(query.order_by(InspectionRow.time.desc()).limit(most))

    def last(self) -> list[Inspection]:
        """The newest of each task."""
        latest = select(InspectionRow.task, func.max(InspectionRow.time)).group_by(InspectionRow.task)
        of = tuple_(InspectionRow.task, InspectionRow.time)
        return self._read(select(*_COLUMNS).where(of.in_(latest)))

    def last_training(self, task: str) -> Inspection | None:
        """The newest of a task for which training began."""
        query = select(*_COLUMNS).where(InspectionRow.task == task, InspectionRow.retrain)
        found = self._read(query.order_by(InspectionRow.time.desc()).limit(1))
        return found[0] if found else None

    def _read(self, query: Select[tuple[object, ...]]) -> list[Inspection]:
        with self._database.reading() as connection:
            return [Inspection(**row._mapping) for row in connection.execute(query)]


def show(found: Inspection) -> None:
    """Set the gauges of a task."""
    for name, score in found.scores.items():
        metrics.DRIFT_SCORE.labels(found.task, name).set(score)
        metrics.DRIFT_THRESHOLD.labels(found.task, name).set(found.threshold)
    for kind in ("looks", "mix"):
        metrics.DRIFT_DETECTED.labels(found.task, kind).set(found.kind == kind)
    metrics.DRIFT_COMPARED.labels(found.task).set(found.compared)
    metrics.DRIFT_CHECKED.labels(found.task).set(found.time.timestamp())
    for name, value in found.quality.items():
        metrics.QUALITY.labels(found.task, name).set(value)
