"""What must be known of a graph to ask it, whether it lies in a checkpoint or in a package."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from bonafide.config import Config
from bonafide.data.decoding import Pixels, decode_to, fit
from bonafide.data.header import LIMITS
from bonafide.errors import PackageError
from bonafide.features import Feature
from bonafide.model.decision import Decision

MODEL = "model.onnx"

Size = Annotated[int, Field(ge=1)]


class ImageInput(Config):
    """``pixels`` uint8 [N, size, size, 3], RGB, fitted by :func:`bonafide.data.decoding.decode_to`."""

    tensor: ClassVar = "pixels"
    dtype: ClassVar = np.dtype(np.uint8)
    modality: Literal["image"] = "image"
    hub_task: ClassVar = "image-classification"
    example: ClassVar = "image.jpg"
    features: ClassVar[tuple[Feature, ...]] = ()
    size: Size
    resize: Literal["shorter-side-centre-crop"] = "shorter-side-centre-crop"

    @property
    def told(self) -> str:
        """For people."""
        return f"RGB, {self.size} × {self.size} pixels ({self.resize})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image."""
        return (self.size, self.size, 3)

    def fitted(self, image: bytes | memoryview | Pixels) -> Pixels:
        """One image, a file or uint8 [H, W, 3], as the graph takes it: uint8 [1, size, size, 3].

        Raises:
            ImageError: the file is refused.
        """
        if isinstance(image, np.ndarray):
            return fit(image, self.size)[None]
        if isinstance(image, memoryview):  # of a request's body, so that only what is worked on is copied
            image = bytes(image[: LIMITS.max_bytes + 1])
        return decode_to(image, self.size)[None]

    def drawn(self, random: np.random.Generator) -> Pixels:
        """One image of noise, to time and to warm a graph with."""
        return random.integers(0, 256, (1, *self.shape), dtype=np.uint8)


class TableInput(Config):
    """``columns`` float32 [N, C], in the order of ``features``."""

    tensor: ClassVar = "columns"
    dtype: ClassVar = np.dtype(np.float32)
    modality: Literal["table"] = "table"
    hub_task: ClassVar = "tabular-classification"
    features: Annotated[tuple[Feature, ...], Field(min_length=1)]

    @property
    def told(self) -> str:
        """For people."""
        return ", ".join(feature.told for feature in self.features)

    @property
    def example(self) -> str:
        """How a row is given to ``bonafide predict``."""
        return " ".join(f"{feature.name}=NUMBER" for feature in self.features)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return (len(self.features),)

    def misfits(self, rows: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which values of float32 [N, C] no row may have, bool [N, C]; the features say why."""
        low = np.array([-np.inf if each.low is None else each.low for each in self.features], np.float32)
        high = np.array([np.inf if each.high is None else each.high for each in self.features], np.float32)
        fits = np.isfinite(rows) & (rows >= low) & (rows <= high)
        whole = np.array([each.whole for each in self.features])
        if whole.any():
            fits &= ~whole | (rows == np.floor(rows))
        misfits: NDArray[np.bool_] = ~fits
        return misfits

    def fitted(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows float32 [N, C], which are checked before they come here."""
        return rows

    def drawn(self, random: np.random.Generator) -> NDArray[np.float32]:
        """One row of noise, to time and to warm a graph with."""
        return random.standard_normal((1, *self.shape), dtype=np.float32)


class Pretrained(Config):
    """The weights that training began from, and the SHA-256 of their file.

    ``licence`` is an SPDX identifier, or None where nobody stated one.
    """

    source: str
    digest: str
    licence: str | None = None


class ModelInfo(Config):
    """A graph ``model.onnx``, its input and its outputs.

    The graph gives ``probabilities`` FP32 [N, K]; also ``embedding`` FP32 [N, ``embedding_size``] and
    ``heatmap`` FP32 [N, *``heatmap_size``] where these are not None. ``model_digest`` is the file's SHA-256.
    ``pretrained`` is None where training began from random weights, or had none.
    """

    labels: Annotated[tuple[str, ...], Field(min_length=2)]
    architecture: str
    input: Annotated[ImageInput | TableInput, Field(discriminator="modality")]
    embedding_size: Size | None = None
    heatmap_size: tuple[Size, Size] | None = None
    temperature: Annotated[float, Field(gt=0)]
    decision: Decision
    pretrained: Pretrained | None = None
    data_digest: str
    model_digest: str = ""
    run_id: str | None = None

    @model_validator(mode="after")
    def _each_label_has_a_threshold(self) -> "ModelInfo":
        if set(self.decision.thresholds) != set(self.labels):
            given = list(self.decision.thresholds)
            raise ValueError(f"decision.thresholds: one for each of {list(self.labels)}, got {given}")
        return self

    @property
    def image(self) -> ImageInput:
        """The input of an image model.

        Raises:
            PackageError: the model answers something else.
        """
        if not isinstance(self.input, ImageInput):
            raise PackageError(f"the model takes a {self.input.modality}; images were expected")
        return self.input

    @property
    def table(self) -> TableInput:
        """The input of a model of tables.

        Raises:
            PackageError: the model answers something else.
        """
        if not isinstance(self.input, TableInput):
            raise PackageError(f"the model takes an {self.input.modality}; a table's columns were expected")
        return self.input

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of a table's columns, in their order; none of an image."""
        return tuple(feature.name for feature in self.input.features)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs."""
        optional = {"embedding": self.embedding_size, "heatmap": self.heatmap_size}
        return ("probabilities", *(name for name, size in optional.items() if size is not None))
