"""Predictions and feedback."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "prediction",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("time", TIME, nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("predictor", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("uncertain", sa.Boolean(), nullable=False),
        sa.Column("probabilities", JSON, nullable=False),
        sa.Column("latency_ms", sa.Double()),
        sa.Column("embedding", sa.LargeBinary()),
        sa.Column("sha256", sa.String()),
        sa.Column("statistics", JSON, nullable=False),
        sa.Column("image", sa.String()),
    )
    op.create_index("prediction_by_task", "prediction", ["task", "time"])
    op.create_index("prediction_by_image", "prediction", ["sha256"])
    op.create_table(
        "feedback",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column(
            "prediction_id", sa.String(), sa.ForeignKey("prediction.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("time", TIME, nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("reviewer", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("decided", TIME),
        sa.Column("decided_by", sa.String()),
    )
    op.create_index("feedback_by_prediction", "feedback", ["prediction_id"])
    op.create_index("feedback_by_state", "feedback", ["state", "time"])


def downgrade() -> None:
    """Remove both tables."""
    op.drop_table("feedback")
    op.drop_table("prediction")
