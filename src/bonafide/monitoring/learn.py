"""What training would learn from: a task's own sources, and what people confirmed."""

from datetime import datetime

from bonafide.source import FeedbackSource, Source
from bonafide.sources import feedback
from bonafide.sources.digests import with_digests
from bonafide.task import Task


def confirmed(task: Task, until: datetime) -> FeedbackSource | None:
    """The inputs whose labels people confirmed by then, with the digest for caching; None without any.

    It is the task's own source of feedback, if it has one.

    Raises:
        StoreError: the store does not answer.
    """
    own = next(filter(None, (_feedback(each, task) for each in task.sources)), None)
    source = own or FeedbackSource(task=task.name)
    fixed = min(until, datetime.fromisoformat(source.until)) if source.until else until
    found = feedback.with_digest(source.model_copy(update={"until": fixed.isoformat()}), task.modality)
    return None if found.digest == feedback.NOTHING else found


def with_feedback(task: Task, learnt: FeedbackSource | None) -> tuple[Source, ...]:
    """The task's sources with digests of what is in them, and the feedback at the end.

    Raises:
        DataError: a source is not there.
    """
    others = tuple(each for each in task.sources if not _feedback(each, task))
    known = with_digests(task.model_copy(update={"source": others})).sources if others else ()
    return (*known, learnt) if learnt else known


def _feedback(source: Source, task: Task) -> FeedbackSource | None:
    return source if isinstance(source, FeedbackSource) and source.task == task.name else None
