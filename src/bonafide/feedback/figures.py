"""What the feedback says about the service, in figures; nothing is assumed where nobody looked."""

from dataclasses import dataclass
from datetime import datetime
from statistics import median

from sqlalchemy import func, select

from bonafide.feedback.database import Database
from bonafide.feedback.opinion import CONFIRMED, NEW
from bonafide.feedback.tables import FeedbackRow, PredictionRow


@dataclass(frozen=True)
class Figures:
    """Of the predictions of a task in a while. A share is None where there is nothing to take it of.

    ``reviewed`` have a confirmed label; ``agreement`` is the share of those that the model had right.
    ``alarms`` are the reviewed ones that the model did not give the task's first label, ``false_alarms`` the
    share of these that have it. ``waiting`` is feedback that nobody decided. ``hours`` is the median from a
    prediction to its first confirmation.
    """

    predictions: int
    reviewed: int
    waiting: int
    agreement: float | None
    alarms: int
    false_alarms: float | None
    hours: float | None


def figures(database: Database, task: str, harmless: str, start: datetime, end: datetime) -> Figures:
    """Count.

    Args:
        harmless: the label that is no alarm: a task's first.

    Raises:
        StoreError: the database does not answer.
    """
    of = (PredictionRow.task == task, PredictionRow.time >= start, PredictionRow.time < end)
    first = (
        select(FeedbackRow.prediction_id, FeedbackRow.label, func.min(FeedbackRow.decided).label("decided"))
        .where(FeedbackRow.state == CONFIRMED)
        .group_by(FeedbackRow.prediction_id, FeedbackRow.label)
        .subquery()
    )
    query = select(PredictionRow.label, first.c.label, PredictionRow.time, first.c.decided)
    query = query.join(first, first.c.prediction_id == PredictionRow.id).where(*of)
    undecided = select(func.count()).select_from(FeedbackRow).join(PredictionRow)
    with database.reading() as connection:
        total = connection.scalar(select(func.count()).select_from(PredictionRow).where(*of)) or 0
        waiting = connection.scalar(undecided.where(*of, FeedbackRow.state == NEW)) or 0
        rows = connection.execute(query).all()
    alarms = [truth for said, truth, _, _ in rows if said != harmless]
    # A clock that was set back makes a review come before what is reviewed.
    hours = [max(0.0, (decided - time).total_seconds()) / 3600 for _, _, time, decided in rows]
    return Figures(
        predictions=total,
        reviewed=len(rows),
        waiting=waiting,
        agreement=_share(sum(said == truth for said, truth, _, _ in rows), len(rows)),
        alarms=len(alarms),
        false_alarms=_share(alarms.count(harmless), len(alarms)),
        hours=median(hours) if hours else None,
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
