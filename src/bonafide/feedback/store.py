"""Where predictions are kept, and read again by id or by time."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, exists, func, select
from sqlalchemy.dialects import postgresql, sqlite

from bonafide.feedback.database import Database
from bonafide.feedback.prediction import Prediction
from bonafide.feedback.tables import FeedbackRow, PredictionRow
from bonafide.feedback.window import Window, window

FORGOTTEN_AT_ONCE = 500
_COLUMNS = [getattr(PredictionRow, field.name) for field in fields(Prediction)]


class Store:
    """The predictions of a database; safe to use from several threads and processes.

    Args:
        address: as of :class:`bonafide.feedback.database.Database`.

    Raises:
        ConfigError: it is no such address.
        StoreError: by each method, the database does not answer.
    """

    def __init__(self, address: str) -> None:
        self.database = Database(address)
        self._insert = sqlite.insert if self.database.is_file else postgresql.insert

    def add(self, predictions: Sequence[Prediction]) -> int:
        """Keep predictions, all or none; one whose id is there already changes nothing.

        Returns:
            how many were new.

        Raises:
            ContentError: one of them does not fit.
        """
        if not predictions:
            return 0
        statement = self._insert(PredictionRow).on_conflict_do_nothing().returning(PredictionRow.id)
        with self.database.writing() as connection:
            return len(connection.execute(statement, [vars(each) for each in predictions]).all())

    def find(self, identity: str) -> Prediction | None:
        """The prediction of that id."""
        found = self._read(select(*_COLUMNS).where(PredictionRow.id == identity))
        return found[0] if found else None

    def window(self, task: str, start: datetime, end: datetime, version: str | None = None) -> Window:
        """The predictions of a task from ``start`` until before ``end``, of one version or of all."""
        of = [PredictionRow.task == task, PredictionRow.time >= start, PredictionRow.time < end]
        if version is not None:
            of.append(PredictionRow.version == version)
        order = (PredictionRow.time, PredictionRow.id)
        return window(self._read(select(*_COLUMNS).where(*of).order_by(*order)))

    def forget(self, before: datetime, confirmed: bool = False) -> tuple[int, list[str]]:
        """Delete predictions older than ``before``, with what was said of them.

        Args:
            confirmed: also those with confirmed feedback, which training may still want.

        Returns:
            how many, and the addresses of images that no prediction has any more.
        """
        old: list[ColumnElement[bool]] = [PredictionRow.time < before]
        if not confirmed:
            about = FeedbackRow.prediction_id == PredictionRow.id
            old.append(~exists().where(about, FeedbackRow.state == "confirmed"))
        count, images = 0, set[str]()
        while found := self._forget_some(old):
            count += len(found)
            images |= {image for _, image in found if image}
        return count, self._without_prediction(sorted(images))

    def _forget_some(self, old: list[ColumnElement[bool]]) -> Sequence[Any]:
        """A few at a time, so that nobody who writes waits for long."""
        with self.database.writing() as connection:
            some = select(PredictionRow.id, PredictionRow.image).where(*old).limit(FORGOTTEN_AT_ONCE)
            found = connection.execute(some.with_for_update(skip_locked=True)).all()
            gone = [identity for identity, _ in found]
            connection.execute(delete(FeedbackRow).where(FeedbackRow.prediction_id.in_(gone)))
            connection.execute(delete(PredictionRow).where(PredictionRow.id.in_(gone)))
        return found

    def _without_prediction(self, images: Sequence[str]) -> list[str]:
        alone: list[str] = []
        with self.database.reading() as connection:
            for begin in range(0, len(images), FORGOTTEN_AT_ONCE):
                some = images[begin : begin + FORGOTTEN_AT_ONCE]
                still = select(PredictionRow.image).where(PredictionRow.image.in_(some))
                alone += sorted(set(some) - set(connection.scalars(still)))
        return alone

    def count(self, task: str | None = None) -> int:
        """How many there are."""
        of = [] if task is None else [PredictionRow.task == task]
        with self.database.reading() as connection:
            return int(connection.scalar(select(func.count()).select_from(PredictionRow).where(*of)) or 0)

    def _read(self, query: Select[Any]) -> list[Prediction]:
        with self.database.reading() as connection:
            return [Prediction(**row._mapping) for row in connection.execute(query)]
