"""What callers of the service API ask about."""

from dataclasses import dataclass

from bonafide.features import Feature
from bonafide.modality import Modality


@dataclass(frozen=True)
class Topic:
    """A model's name and kind of input, a table's columns, and the labels; without more it is images."""

    name: str = ""
    modality: Modality = "image"
    features: tuple[Feature, ...] = ()
    labels: tuple[str, ...] = ()
