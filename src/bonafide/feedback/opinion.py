"""What people say of predictions, as it is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

State = Literal["new", "confirmed", "rejected"]
NEW, CONFIRMED, REJECTED = "new", "confirmed", "rejected"


@dataclass(frozen=True)
class Feedback:
    """That ``reviewer`` says that the input of a prediction has ``label``.

    ``verdict`` is whether the prediction was ``right`` or ``wrong`` then. ``decided`` is when somebody,
    ``decided_by``, confirmed or rejected it.
    """

    id: str
    prediction_id: str
    time: datetime
    label: str
    verdict: Literal["right", "wrong"]
    reviewer: str
    state: State = "new"
    note: str = ""
    decided: datetime | None = None
    decided_by: str | None = None


@dataclass(frozen=True)
class Reviewed:
    """What a model said of an input, and the label that somebody confirmed; equal inputs have one name."""

    image: str
    said: str
    truth: str


@dataclass(frozen=True)
class Confirmed:
    """A label that a prediction's input has for certain, and who says so since when.

    ``statistics`` are as the prediction has them: of a row, its columns.
    """

    prediction_id: str
    label: str
    reviewer: str
    decided: datetime
    sha256: str
    statistics: Mapping[str, float]
    image: str | None
