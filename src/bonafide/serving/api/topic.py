"""What callers of the service API ask about."""

from dataclasses import dataclass

from bonafide.features import Feature
from bonafide.modality import NOUNS, Modality


@dataclass(frozen=True)
class Topic:
    """A model's name, two labels or more, its kind of input, and a table's columns."""

    name: str
    labels: tuple[str, ...]
    modality: Modality = "image"
    features: tuple[Feature, ...] = ()

    @property
    def told(self) -> str:
        """For people, in one sentence."""
        return f"Tells {NOUNS[self.modality]}s apart: {', '.join(self.labels)}."
