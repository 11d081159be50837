"""What came of simulated traffic: each request, and figures of them."""

import csv
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from io import StringIO
from typing import NamedTuple

import numpy as np

from bonafide.traffic.endpoint import UNANSWERED
from bonafide.traffic.review import Filed


class Row(NamedTuple):
    """One request: ``label`` is what the image is, ``answer`` what the model said.

    ``time`` is in UTC. ``drift`` is the kind and ``strength`` how strong it was. A failure has no ``answer``
    and no ``seconds``; without an answer of any kind it has no ``status``.
    """

    time: str
    folder: str
    path: str
    label: str
    drift: str
    strength: float
    answer: str
    confidence: float | None
    predictor: str
    version: str
    status: int | None
    seconds: float | None
    prediction_id: str


@dataclass
class Tally:
    """What one predictor answered."""

    requests: int = 0
    failures: int = 0
    seconds: list[float] = field(default_factory=list)

    def quantile(self, share: float) -> float | None:
        """Of the seconds of answers that were no failures; None without any."""
        return float(np.quantile(self.seconds, share)) if self.seconds else None


class Score(NamedTuple):
    """Of how many answers, and how many were right."""

    answers: int
    right: int


@dataclass
class Outcome:
    """What came of each request, in the order of the replies.

    Attributes:
        labels: all of the model, as far as it answered.
        late: how many requests began later than was planned.
    """

    rows: list[Row] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)
    late: int = 0
    feedback: Filed = field(default_factory=Filed)

    @property
    def requests(self) -> int:
        """How many there were."""
        return len(self.rows)

    @property
    def failures(self) -> int:
        """How many of them failed."""
        return sum(row.seconds is None for row in self.rows)

    @property
    def reasons(self) -> Counter[str]:
        """Of failures, the statuses."""
        failed = (row.status for row in self.rows if row.seconds is None)
        return Counter(UNANSWERED if status is None else str(status) for status in failed)

    @property
    def tallies(self) -> dict[str, Tally]:
        """By predictor."""
        tallies = defaultdict[str, Tally](Tally)
        for row in self.rows:
            tally = tallies[row.predictor]
            tally.requests += 1
            if row.seconds is None:
                tally.failures += 1
            else:
                tally.seconds.append(row.seconds)
        return dict(tallies)

    @property
    def scores(self) -> dict[str, Score]:
        """By what the images are, of those whose label the model has."""
        answered = [row for row in self.rows if row.seconds is not None and row.label in self.labels]
        answers = Counter(row.label for row in answered)
        right = Counter(row.label for row in answered if row.answer == row.label)
        return {label: Score(count, right[label]) for label, count in sorted(answers.items())}

    def csv(self) -> str:
        """A table of all requests."""
        stream, rows = StringIO(), sorted(self.rows, key=lambda row: row.time)
        csv.writer(stream, lineterminator="\n").writerows([Row._fields, *rows])
        return stream.getvalue()
