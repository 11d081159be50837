"""What a model says about images or rows, whoever asked and wherever it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bonafide.model.decision import Decided, decide
from bonafide.model.info import ModelInfo

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Answer:
    """For N images or rows, the arrays that were asked for, by the Open Inference Protocol's names.

    ``label`` is object [N] of bytes, ``uncertain`` bool [N], ``probabilities`` float32 [N, K] with columns
    named by ``labels``, ``embedding`` float32 [N, E], ``heatmap`` float32 [N, h, w], zero or above. ``ids``
    are those of the N predictions, where they are kept. ``columns`` names a table's, in the model's order.
    """

    model: str
    version: str
    labels: tuple[str, ...]
    outputs: Mapping[str, Array]
    ids: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The label of each."""
        return tuple(name.decode() for name in self.outputs["label"])

    @property
    def uncertain(self) -> npt.NDArray[np.bool_]:
        """For each, whether its confidence is below its label's threshold."""
        return self.outputs["uncertain"]

    @property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """float32 [N, K]."""
        return self.outputs["probabilities"]


def labelled(info: ModelInfo, scores: Mapping[str, Array]) -> tuple[Decided, dict[str, Array]]:
    """What the package's rule says of ``probabilities``, and ``scores`` with ``label`` and ``uncertain``."""
    decided = decide(scores["probabilities"], info.labels, info.decision)
    names = np.array([label.encode() for label in info.labels], dtype=object)
    return decided, {"label": names[decided.label], "uncertain": decided.uncertain, **scores}
