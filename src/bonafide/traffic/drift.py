"""How simulated traffic changes on the way, by kinds of drift."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Literal

from PIL import Image, ImageEnhance, ImageFilter
from PIL.JpegImagePlugin import get_sampling

from bonafide.data.decoding import decode
from bonafide.data.header import open_header
from bonafide.data.looks import looks
from bonafide.errors import ConfigError

Kind = Literal["brightness", "jpeg", "blur", "new-generator", "label-shift", "shift"]
Change = Callable[[bytes, float], bytes]

BRIGHTER = 2.0
BEST, WORST = 95, 20
BLUR_PIXELS = 4.0


@dataclass(frozen=True)
class Drift:
    """A kind of drift that grows linearly, from nothing at the beginning.

    Attributes:
        kind: None for no drift.
        strength: at the end, from 0 to 1.
        images: of ``new-generator``: the images whose share grows, as of
            :func:`bonafide.batch.listing.listed`.
        mix: of ``label-shift``: the share of each label at strength 1.
        shift: of ``shift``: what is added to a row's columns at strength 1, by their names.

    Raises:
        ConfigError: something is missing, or does not fit the kind.
    """

    kind: Kind | None = None
    strength: float = 1.0
    images: str = ""
    mix: Mapping[str, float] = field(default_factory=dict)
    shift: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, option, given in (
            ("new-generator", "--drifted-images", self.images),
            ("label-shift", "--drifted-mix", self.mix),
            ("shift", "--shift", self.shift),
        ):
            if self.kind == kind and not given:
                raise ConfigError(f"--drift {kind} needs {option}: towards what?")
            if given and self.kind != kind:
                raise ConfigError(f"{option} is of --drift {kind} only; leave it out, or name that kind")

    def at(self, passed: float) -> float:
        """The strength when that share of the time has passed, in hundredths."""
        return round(self.strength * passed, 2) if self.kind else 0.0


STEADY = Drift()


def refuse_other(drift: Drift, kinds: Collection[Kind | None], inputs: str) -> None:
    """Refuse a kind of drift that would change nothing.

    Raises:
        ConfigError: it is none of those that ``inputs`` have.
    """
    if drift.kind and drift.kind not in kinds:
        known = ", ".join(sorted(filter(None, kinds)))
        raise ConfigError(f"--drift {drift.kind} does not change {inputs}; these do: {known}")


def brighter(content: bytes, strength: float) -> bytes:
    """Each channel times up to 2; a JPEG's quantisation stays, what was another format becomes a PNG."""
    file = open_header(content)
    image = ImageEnhance.Brightness(_picture(content)).enhance(1 + (BRIGHTER - 1) * strength)
    if file.format != "JPEG":
        return _encoded(image, "PNG")
    return _encoded(
        image, "JPEG", qtables=getattr(file, "quantization", None), subsampling=get_sampling(file)
    )


def compressed(content: bytes, strength: float) -> bytes:
    """Encoded again as a JPEG, of a quality that goes from the image's own down to 20."""
    own = looks(content, brightness=False).get("jpeg_quality", BEST)
    quality = round(own - max(0, own - WORST) * strength)
    return _encoded(
        _picture(content), "JPEG", quality=quality, subsampling=get_sampling(open_header(content))
    )


def blurred(content: bytes, strength: float) -> bytes:
    """Blurred by up to 4 pixels, and encoded again as a JPEG, of a quality from 95 down to 20."""
    image = _picture(content).filter(ImageFilter.GaussianBlur(BLUR_PIXELS * strength))
    return _encoded(image, "JPEG", quality=round(BEST + (WORST - BEST) * strength))


def mixed(before: Mapping[str, float], after: Mapping[str, float], strength: float) -> dict[str, float]:
    """The shares of labels on the way from one mix to another."""
    return {
        label: (1 - strength) * before.get(label, 0) + strength * after.get(label, 0)
        for label in {**before, **after}
    }


CHANGES: Mapping[Kind | None, Change] = {"brightness": brighter, "jpeg": compressed, "blur": blurred}
"""Those kinds that change an image's file; each raises ImageError for what is none."""


def _picture(content: bytes) -> Image.Image:
    return Image.fromarray(decode(content).pixels)


def _encoded(image: Image.Image, kind: str, **settings: Any) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **settings)
    return stream.getvalue()
