"""What people say of predictions: filed, then confirmed or rejected by somebody who may."""

import hashlib
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from bonafide.feedback.database import Database
from bonafide.feedback.errors import ContradictionError, UnknownError
from bonafide.feedback.opinion import CONFIRMED, NEW, Confirmed, Feedback, Reviewed, State
from bonafide.feedback.tables import FeedbackRow, PredictionRow
from bonafide.telemetry.metrics import FEEDBACK

LONGEST_NOTE = 1000
_COLUMNS = [getattr(FeedbackRow, field.name) for field in fields(Feedback)]


class Reviews:
    """The feedback of a database.

    Raises:
        StoreError: by each method, the database does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def file(self, prediction: str, label: str, reviewer: str, note: str = "") -> tuple[Feedback, bool]:
        """Note what a reviewer says; one has one word on a prediction, and may change it until it is decided.

        Returns:
            the feedback, and whether it is the reviewer's first on that prediction.

        Raises:
            UnknownError: there is no such prediction.
            ContradictionError: the label is none of the model's, or another one was decided.
        """
        with self._database.writing() as connection:
            about = _prediction(connection, prediction)
            _check_label(label, about["probabilities"])
            before = _find(connection, identity(prediction, reviewer))
            if before and (before.label == label or before.state != NEW):
                if before.label != label:
                    raise ContradictionError(
                        f"your word on {prediction} was {before.label!r} and is {before.state}; "
                        "ask whoever decided it"
                    )
                return before, False
            _refuse_other(connection, prediction, label)
            made = Feedback(
                id=identity(prediction, reviewer),
                prediction_id=prediction,
                time=datetime.now(UTC),
                label=label,
                verdict="right" if label == about["label"] else "wrong",
                reviewer=reviewer,
                note=note[:LONGEST_NOTE],
            )
            if before:
                connection.execute(update(FeedbackRow).where(FeedbackRow.id == made.id).values(**vars(made)))
            else:
                connection.execute(insert(FeedbackRow).values(**vars(made)))
        FEEDBACK.labels(about["task"], NEW).inc()
        return made, before is None

    def decide(self, feedback: str, state: Literal["confirmed", "rejected"], by: str) -> Feedback:
        """Confirm or reject; a confirmed label is what training may learn. To say the same again is well.

        Raises:
            UnknownError: there is no such feedback.
            ContradictionError: the opposite was decided, or another label is confirmed.
        """
        with self._database.writing() as connection:
            found = _find(connection, feedback)
            if found is None:
                raise UnknownError(f"there is no feedback {feedback!r}; 'bonafide feedback list' shows all")
            about = _prediction(connection, found.prediction_id)
            found = _find(connection, feedback) or found  # as it is now that nobody else changes it
            if found.state == state:
                return found
            if found.state != NEW:
                raise ContradictionError(f"{feedback} is {found.state} already, by {found.decided_by}")
            if state == CONFIRMED:
                _refuse_other(connection, found.prediction_id, found.label)
            changes = {"state": state, "decided": datetime.now(UTC), "decided_by": by}
            connection.execute(update(FeedbackRow).where(FeedbackRow.id == feedback).values(**changes))
        FEEDBACK.labels(about["task"], state).inc()
        return Feedback(**{**vars(found), **changes})

    def find(self, feedback: str) -> Feedback | None:
        """The feedback of that id."""
        with self._database.reading() as connection:
            return _find(connection, feedback)

    def newest(self, most: int, task: str | None = None, state: State | None = None) -> list[Feedback]:
        """The newest first."""
        query = select(*_COLUMNS).order_by(FeedbackRow.time.desc(), FeedbackRow.id).limit(most)
        if task is not None:
            query = query.join(PredictionRow, PredictionRow.id == FeedbackRow.prediction_id)
            query = query.where(PredictionRow.task == task)
        if state is not None:
            query = query.where(FeedbackRow.state == state)
        with self._database.reading() as connection:
            return [Feedback(**row) for row in connection.execute(query).mappings()]

    def waiting(self) -> dict[str, int]:
        """How many are new, by task; no entry where there is none."""
        query = select(PredictionRow.task, func.count())
        query = query.join(FeedbackRow, FeedbackRow.prediction_id == PredictionRow.id)
        query = query.where(FeedbackRow.state == NEW).group_by(PredictionRow.task)
        with self._database.reading() as connection:
            return dict(connection.execute(query).tuples().all())

    def confirmed(self, task: str, until: datetime, images: bool = True) -> list[Confirmed]:
        """What was confirmed by ``until``, in the order of decisions; of images only those that are kept."""
        query = _confirmed(task, until)
        if images:
            query = query.where(PredictionRow.image.is_not(None))
        with self._database.reading() as connection:
            found = connection.execute(query).mappings()
            return [Confirmed(**row) for row in found]

    def reviewed(self, task: str, version: str, since: datetime) -> list[Reviewed]:
        """What a version said since then whose label was confirmed, in the order of its answers."""
        columns = (PredictionRow.sha256, PredictionRow.id, PredictionRow.label, FeedbackRow.label)
        query = select(*columns).distinct().add_columns(PredictionRow.time)
        query = query.join(FeedbackRow, FeedbackRow.prediction_id == PredictionRow.id)
        query = query.where(PredictionRow.task == task, PredictionRow.version == version)
        query = query.where(PredictionRow.time >= since, FeedbackRow.state == CONFIRMED)
        with self._database.reading() as connection:
            found = connection.execute(query.order_by(PredictionRow.time, PredictionRow.id)).tuples()
            return [Reviewed(image or identity, said, truth) for image, identity, said, truth, _ in found]


def identity(prediction: str, reviewer: str) -> str:
    """The id of a reviewer's word on a prediction."""
    return hashlib.sha256(f"{prediction}\0{reviewer}".encode()).hexdigest()[:32]


def _confirmed(task: str, until: datetime) -> Any:
    return (
        select(
            FeedbackRow.prediction_id,
            FeedbackRow.label,
            FeedbackRow.reviewer,
            FeedbackRow.decided,
            PredictionRow.sha256,
            PredictionRow.statistics,
            PredictionRow.image,
        )
        .join(PredictionRow, PredictionRow.id == FeedbackRow.prediction_id)
        .where(PredictionRow.task == task, FeedbackRow.state == CONFIRMED, FeedbackRow.decided <= until)
        .where(PredictionRow.sha256.is_not(None))
        .order_by(FeedbackRow.decided, FeedbackRow.id)
    )


def _find(connection: Connection, feedback: str) -> Feedback | None:
    found = connection.execute(select(*_COLUMNS).where(FeedbackRow.id == feedback)).mappings().first()
    return Feedback(**found) if found else None


def _prediction(connection: Connection, prediction: str) -> RowMapping:
    """Held until the transaction ends, so that one says something of it at a time."""
    query = select(PredictionRow.task, PredictionRow.label, PredictionRow.probabilities)
    query = query.where(PredictionRow.id == prediction).with_for_update()
    found = connection.execute(query).mappings().first()
    if found is None:
        raise UnknownError(
            f"there is no prediction {prediction!r}; one of the last seconds may be on its way: try again"
        )
    return found


def _check_label(label: str, labels: Sequence[str]) -> None:
    if label not in labels:
        raise ContradictionError(f"{label!r} is none of the model's labels, {', '.join(sorted(labels))}")


def _refuse_other(connection: Connection, prediction: str, label: str) -> None:
    query = select(FeedbackRow.label, FeedbackRow.reviewer)
    query = query.where(FeedbackRow.prediction_id == prediction, FeedbackRow.state == CONFIRMED)
    for confirmed, reviewer in connection.execute(query):
        if confirmed != label:
            raise ContradictionError(
                f"{prediction} is confirmed to be {confirmed!r}, as {reviewer} said, and not {label!r}"
            )
