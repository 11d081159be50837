"""The tables, the same in SQLite and in PostgreSQL."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Double, ForeignKey, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[datetime]):
    """A time with its zone; SQLite, which knows no zones, keeps UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """To the database."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """From the database."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Json = JSON().with_variant(JSONB(), "postgresql")


class Base(DeclarativeBase):
    """Of all tables."""


class PredictionRow(Base):
    """A :class:`bonafide.feedback.prediction.Prediction`."""

    __tablename__ = "prediction"

    id: Mapped[str] = mapped_column(primary_key=True)
    time: Mapped[datetime] = mapped_column(Moment)
    task: Mapped[str]
    version: Mapped[str]
    predictor: Mapped[str]
    label: Mapped[str]
    uncertain: Mapped[bool]
    probabilities: Mapped[dict[str, Any]] = mapped_column(Json)
    latency_ms: Mapped[float | None] = mapped_column(Double)
    embedding: Mapped[bytes | None]
    sha256: Mapped[str | None]
    statistics: Mapped[dict[str, Any]] = mapped_column(Json)
    image: Mapped[str | None]

    __table_args__ = (Index("prediction_by_task", "task", "time"), Index("prediction_by_image", "sha256"))


class InspectionRow(Base):
    """A :class:`bonafide.feedback.inspections.Inspection`."""

    __tablename__ = "inspection"

    id: Mapped[str] = mapped_column(primary_key=True)
    time: Mapped[datetime] = mapped_column(Moment)
    task: Mapped[str]
    version: Mapped[str]
    kind: Mapped[str]
    compared: Mapped[int]
    threshold: Mapped[float] = mapped_column(Double)
    scores: Mapped[dict[str, float]] = mapped_column(Json)
    quality: Mapped[dict[str, float]] = mapped_column(Json)
    retrain: Mapped[bool]
    why: Mapped[str]
    data: Mapped[str]

    __table_args__ = (Index("inspection_by_task", "task", "time"),)


class FeedbackRow(Base):
    """A :class:`bonafide.feedback.opinion.Feedback`."""

    __tablename__ = "feedback"

    id: Mapped[str] = mapped_column(primary_key=True)
    prediction_id: Mapped[str] = mapped_column(ForeignKey("prediction.id", ondelete="CASCADE"))
    time: Mapped[datetime] = mapped_column(Moment)
    label: Mapped[str]
    verdict: Mapped[str]
    reviewer: Mapped[str]
    state: Mapped[str]
    note: Mapped[str]
    decided: Mapped[datetime | None] = mapped_column(Moment)
    decided_by: Mapped[str | None]

    __table_args__ = (
        Index("feedback_by_prediction", "prediction_id"),
        Index("feedback_by_state", "state", "time"),
    )
