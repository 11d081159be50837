"""Images to ask about, in a given mix of labels, that get worse as much as is wanted."""

from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from random import Random

from PIL import Image, ImageFilter

from bonafide.batch.listing import Entry, listed
from bonafide.data.decoding import decode
from bonafide.data.header import Limits
from bonafide.errors import ConfigError, ImageError

STEPS = 20
KEPT = 256
BLUR_PIXELS = 4.0
BEST, WORST = 95, 20


class Pictures:
    """The images of a folder, whose labels are its sub-folders.

    Args:
        where: as of :func:`bonafide.batch.listing.listed`.
        mix: the share of each label; empty for every image as often as another.

    Raises:
        BonafideError: there are no images, or the mix names a label without any.
    """

    def __init__(self, where: str, mix: Mapping[str, float]) -> None:
        self._listing = listed(where)
        entries = self._listing.entries
        by_label = {label: [entry for entry in entries if _label(entry) == label] for label in mix}
        if missing := [label for label, found in by_label.items() if not found]:
            there = ", ".join(sorted({_label(entry) for entry in entries} - {""})) or "none"
            raise ConfigError(f"{where} has no images in {', '.join(missing)}; its sub-folders are: {there}")
        self._pools = list(by_label.values()) or [list(entries)]
        self._shares = list(mix.values()) or [1.0]
        self._made = lru_cache(KEPT)(self._make)

    def choose(self, random: Random) -> Entry:
        """One of them."""
        [pool] = random.choices(self._pools, self._shares)
        return random.choice(pool)

    def content(self, entry: Entry, drift: float) -> bytes:
        """An image's file, blurred and encoded again the more, the nearer ``drift`` is to 1.

        At 0 it is as it was, and so is what cannot be decoded.

        Raises:
            ImageError: the file cannot be read any more.
        """
        return self._made(entry, round(drift * STEPS))

    def _make(self, entry: Entry, step: int) -> bytes:
        content = self._listing.read(entry, Limits().max_bytes + 1)
        if not step:
            return content
        try:
            return _worsened(content, step / STEPS)
        except ImageError:
            return content


def read_mix(text: str) -> dict[str, float]:
    """``real=0.7,ai-generated=0.3`` as shares by label.

    Raises:
        ConfigError: it is written otherwise, or the shares are not 1 in sum.
    """
    try:
        pairs = [part.split("=") for part in text.split(",") if part]
        mix = {label.strip(): float(share) for label, share in pairs}
    except ValueError as error:
        raise ConfigError(f"{text!r} is no mix; write it as real=0.7,ai-generated=0.3") from error
    if mix and not (min(mix.values()) >= 0 and abs(sum(mix.values()) - 1) < 1e-6):
        raise ConfigError(f"the shares of {text!r} are to be 0 or more, and 1 in sum")
    return mix


def _label(entry: Entry) -> str:
    return entry.name.partition("/")[0] if "/" in entry.name else ""


def _worsened(content: bytes, drift: float) -> bytes:
    image = Image.fromarray(decode(content).pixels)
    stream = BytesIO()
    blurred = image.filter(ImageFilter.GaussianBlur(BLUR_PIXELS * drift))
    blurred.save(stream, "JPEG", quality=round(BEST + (WORST - BEST) * drift))
    return stream.getvalue()
