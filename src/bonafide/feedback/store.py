"""Where predictions are kept, and read again by id or by time."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import datetime
from heapq import nsmallest
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, delete, exists, func, select
from sqlalchemy.dialects import postgresql, sqlite

from bonafide.feedback.database import Database
from bonafide.feedback.prediction import Prediction
from bonafide.feedback.tables import FeedbackRow, PredictionRow
from bonafide.feedback.window import Window, window

FORGOTTEN_AT_ONCE, ASKED_AT_ONCE = 500, 5000
MOST_IN_WINDOW = 100_000
_COLUMNS = [getattr(PredictionRow, field.name) for field in fields(Prediction)]


class _Forgotten(NamedTuple):
    ids: list[str]
    images: list[str]
    last: str


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

    def window(
        self,
        task: str,
        start: datetime,
        end: datetime,
        version: str | None = None,
        most: int = MOST_IN_WINDOW,
    ) -> Window:
        """The predictions of a task from ``start`` until before ``end``, of one version or of all.

        Of more than ``most`` some are drawn, by ids hashed with the window's times: callers may choose an id,
        but cannot know what it comes to. The same window gives the same.
        """
        of = [PredictionRow.task == task, PredictionRow.time >= start, PredictionRow.time < end]
        if version is not None:
            of.append(PredictionRow.version == version)
        found = list[Prediction]()
        for ids in _batches(self._drawn(of, most, f"{start.timestamp()} {end.timestamp()}"), ASKED_AT_ONCE):
            found += self._read(select(*_COLUMNS).where(PredictionRow.id.in_(ids)))
        return window(sorted(found, key=lambda each: (each.time, each.id)))

    def forget(
        self, before: datetime, confirmed: bool = False, remove: Callable[[Sequence[str]], set[str]] = set
    ) -> tuple[int, list[str]]:
        """Delete predictions older than ``before``, with what was said of them.

        Args:
            confirmed: also those with confirmed feedback, which training may still want.
            remove: deletes the images at some addresses, which no other prediction has, and gives those that
                are gone. Predictions go after their images: with those that stay, they stay too.

        Returns:
            how many, and the addresses of the images.
        """
        old: list[ColumnElement[bool]] = [PredictionRow.time < before]
        if not confirmed:
            about = FeedbackRow.prediction_id == PredictionRow.id
            old.append(~exists().where(about, FeedbackRow.state == "confirmed"))
        count, images, last = 0, list[str](), ""
        while found := self._forget_some([*old, PredictionRow.id > last], remove):
            count += len(found.ids)
            images += found.images
            last = found.last
        return count, images

    def _forget_some(
        self, old: list[ColumnElement[bool]], remove: Callable[[Sequence[str]], set[str]]
    ) -> _Forgotten | None:
        """A few at a time, so that nobody who writes waits for long."""
        with self.database.writing() as connection:
            some = select(PredictionRow.id, PredictionRow.image).where(*old).order_by(PredictionRow.id)
            some = some.limit(FORGOTTEN_AT_ONCE).with_for_update(skip_locked=True)
            found = connection.execute(some).all()
            if not found:
                return None
            images = {image for _, image in found if image}
            others = select(PredictionRow.image).where(PredictionRow.image.in_(images))
            others = others.where(PredictionRow.id.not_in([identity for identity, _ in found]))
            alone = sorted(images - set(connection.scalars(others)))
            removed = remove(alone)
            ids = [identity for identity, image in found if image not in alone or image in removed]
            connection.execute(delete(FeedbackRow).where(FeedbackRow.prediction_id.in_(ids)))
            connection.execute(delete(PredictionRow).where(PredictionRow.id.in_(ids)))
        return _Forgotten(ids, sorted(removed), found[-1].id)

    def count(self, task: str | None = None) -> int:
        """How many there are."""
        of = [] if task is None else [PredictionRow.task == task]
        with self.database.reading() as connection:
            return int(connection.scalar(select(func.count()).select_from(PredictionRow).where(*of)) or 0)

    def _drawn(self, of: Sequence[ColumnElement[bool]], most: int, salt: str) -> list[str]:
        """At most so many ids, of which no more than that are held at a time."""
        key = hashlib.sha256(salt.encode()).digest()
        with self.database.reading() as connection:
            query = select(PredictionRow.id).where(*of).execution_options(yield_per=ASKED_AT_ONCE)
            ids = connection.execute(query).scalars()
            return nsmallest(most, ids, lambda each: hashlib.blake2b(each.encode(), key=key).digest())

    def _read(self, query: Select[Any]) -> list[Prediction]:
        with self.database.reading() as connection:
            return [Prediction(**row._mapping) for row in connection.execute(query)]


@contextmanager
def opened(address: str) -> Iterator[Store]:
    """The store at an address, whose tables are those of this version, for a while.

    Raises:
        StoreError: the database does not answer, or its tables are others.
    """
    store = Store(address)
    try:
        store.database.check()
        yield store
    finally:
        store.database.close()


def _batches(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))
