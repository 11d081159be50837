"""What a task's modality decides, in one place: who reads its data, trains its model and asks its graph."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from bonafide.errors import ConfigError

if TYPE_CHECKING:
    from bonafide.data.dataset import DatasetInfo
    from bonafide.model.answers import Answers
    from bonafide.model.checkpoint import TrainingInfo

Modality = Literal["image", "table"]


def reader(modality: Modality) -> "Callable[..., DatasetInfo]":
    """The ingest step, as :func:`bonafide.sources.ingest.ingest`.

    Raises:
        ConfigError: this version reads no such data.
    """
    _refuse_all_but_images(modality)
    from bonafide.sources.ingest import ingest

    return ingest


def trainer(modality: Modality) -> "Callable[..., TrainingInfo]":
    """The train step, as :func:`bonafide.model.train.train`.

    Raises:
        ConfigError: this version trains no such model.
    """
    _refuse_all_but_images(modality)
    from bonafide.model.train import train

    return train


def asker(modality: Modality) -> "Callable[..., Answers]":
    """Asking a graph about a split, as :func:`bonafide.model.answers.answer`.

    Raises:
        ConfigError: this version asks no such graph.
    """
    _refuse_all_but_images(modality)
    from bonafide.model.answers import answer

    return answer


def _refuse_all_but_images(modality: Modality) -> None:
    if modality != "image":
        raise ConfigError(f"modality {modality!r} is known but not built yet; this version works on images")
