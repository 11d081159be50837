"""How well a version does, by the labels that people confirmed."""

from collections.abc import Sequence
from pathlib import Path

from bonafide.config import Config, read
from bonafide.evaluation.intervals import Basis, Interval, of_share
from bonafide.feedback.opinion import Reviewed


class Quality(Config):
    """Of the distinct inputs that people confirmed a label of: how many, and the share that was right.

    ``accuracy`` is None without any; its interval takes inputs for independent of each other. People look at
    what they find doubtful, so that it is no more than what they looked at was worth.
    """

    reviewed: int
    accuracy: Interval | None

    def is_below(self, floor: float, fewest: int) -> bool:
        """Whether accuracy is below ``floor`` with its interval, as measured on ``fewest`` inputs or more."""
        if self.accuracy is None or self.accuracy.ends is None or self.reviewed < fewest:
            return False
        return self.accuracy.high < floor

    def figures(self, fewest: int = 0) -> dict[str, float]:
        """What is known, by the names that metrics and run lists use.

        Args:
            fewest: with fewer inputs there is no interval, so that nobody is alarmed by it.
        """
        if self.accuracy is None:
            return {"reviewed": 0.0}
        found = {"reviewed": float(self.reviewed), "accuracy": self.accuracy.value}
        if self.reviewed >= fewest and (ends := self.accuracy.ends):
            found |= dict(zip(("accuracy_low", "accuracy_high"), ends, strict=True))
        return found


def read_quality(path: Path) -> Quality:
    """What the step ``collect`` wrote.

    Raises:
        DataError: it is not there, or was written by something else.
    """
    return read(Quality, path, "collect")


def measured(reviewed: Sequence[Reviewed]) -> Quality:
    """Each input counts once, by the last answer about it."""
    last = {each.image: each.said == each.truth for each in reviewed}
    if not last:
        return Quality(reviewed=0, accuracy=None)
    count, right = len(last), sum(last.values())
    share = right / count
    basis = Basis(images=count, groups=count, effective=count, rarer=min(right, count - right))
    return Quality(reviewed=count, accuracy=of_share(share, share * (1 - share) / count, basis))
