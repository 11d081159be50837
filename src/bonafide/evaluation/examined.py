"""What an evaluation shows beside its figures; each modality has its own."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bonafide.evaluation.contributions import Case
from bonafide.evaluation.gallery import Tile
from bonafide.evaluation.importance import Importance
from bonafide.evaluation.robustness import Degraded
from bonafide.model.answers import Answers
from bonafide.model.decision import Decided
from bonafide.model.runtime import OnnxModel
from bonafide.task import Evaluation


@dataclass(frozen=True)
class Asked:
    """A split of a dataset, and what the graph said of it.

    ``truth`` int64 [N] are labels by number, ``captions`` say where each input is from.
    """

    model: OnnxModel
    dataset: Path
    split: str
    truth: NDArray[np.int64]
    answers: Answers
    decided: Decided
    captions: list[str]
    settings: Evaluation
    seed: int


class Examined(NamedTuple):
    """What belongs to images: accuracy under degradations, and answers to look at; and the same of tables:
    accuracy that rests on each column, and answers.
    """

    robustness: tuple[Degraded, ...] = ()
    tiles: tuple[Tile, ...] = ()
    importance: tuple[Importance, ...] = ()
    cases: tuple[Case, ...] = ()
