"""What the store knows of a version in service."""

from datetime import UTC, datetime, timedelta

from bonafide import home
from bonafide.feedback.reviews import Reviews
from bonafide.feedback.store import opened
from bonafide.feedback.window import Window
from bonafide.monitoring.quality import Quality, measured
from bonafide.task import Monitoring


def collect(task: str, version: str, settings: Monitoring) -> tuple[Window, Quality]:
    """The predictions of the last hours, and how well the version does.

    Raises:
        StoreError: the store does not answer.
    """
    now = datetime.now(UTC)
    hours, quality_hours = (timedelta(hours=each) for each in (settings.hours, settings.quality_hours))
    with opened(home.store()) as store:
        reviewed = Reviews(store.database).reviewed(task, version, now - quality_hours)
        window = store.window(task, now - hours, now, version)
    return window, measured(reviewed)
