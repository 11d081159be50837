"""Images to ask about, in a mix of labels; both change as the drift says."""

from collections.abc import Mapping
from functools import lru_cache
from random import Random
from typing import NamedTuple

from bonafide.batch.listing import Entry, listed
from bonafide.data.header import Limits
from bonafide.errors import ImageError
from bonafide.serving.sent import Sent
from bonafide.traffic.drift import CHANGES, STEADY, Drift, mixed, refuse_other
from bonafide.traffic.inputs import Pools

KEPT = 256


class Picture(NamedTuple):
    """An image of a folder, and how strong the drift is when it is asked about."""

    folder: str
    entry: Entry
    strength: float = 0.0

    @property
    def name(self) -> str:
        """Its path in the folder."""
        return self.entry.name

    @property
    def label(self) -> str:
        """What it is: the name of its sub-folder; empty where it lies in none."""
        return _label(self.entry)


class Pictures:
    """The images of a folder, whose labels are its sub-folders.

    Args:
        where: as of :func:`bonafide.batch.listing.listed`.
        mix: the share of each label; empty for every image as often as another.
        drift: how they change; images of a new generator come each as often as another.

    Raises:
        BonafideError: there are no images, the drift is of rows, or a mix names a label without any.
    """

    def __init__(self, where: str, mix: Mapping[str, float], drift: Drift = STEADY) -> None:
        refuse_other(drift, {*CHANGES, "new-generator", "label-shift"}, "images")
        self.drift = drift
        self._folder = _Folder(where)
        self._drifted = _Folder(drift.images) if drift.images else self._folder
        self._folder.check({**mix, **drift.mix})
        self._mix = mix or self._folder.shares
        self._made = lru_cache(KEPT)(self._make)

    @property
    def labels(self) -> set[str]:
        """Of all images."""
        return {*self._folder.pools, *self._drifted.pools} - {""}

    def choose(self, random: Random, passed: float = 0.0) -> Picture:
        """One of them, when that share of the time has passed."""
        strength = self.drift.at(passed)
        if self.drift.images and random.random() < strength:
            return Picture(self.drift.images, self._drifted.choose(random, self._drifted.shares), strength)
        mix = mixed(self._mix, self.drift.mix, strength) if self.drift.mix else self._mix
        return Picture(self._folder.where, self._folder.choose(random, mix), strength)

    def sent(self, picture: Picture) -> Sent:
        """What :meth:`content` gives."""
        return [self.content(picture)]

    def content(self, picture: Picture) -> bytes:
        """An image's file, changed as the kind of drift says, as far as its strength says.

        At 0 it is as it was, and so is what cannot be decoded.

        Raises:
            ImageError: the file cannot be read any more.
        """
        return self._made(picture if self.drift.kind in CHANGES else picture._replace(strength=0.0))

    def _make(self, picture: Picture) -> bytes:
        folder = self._drifted if picture.folder == self.drift.images else self._folder
        content = folder.read(picture.entry)
        if not picture.strength:
            return content
        try:
            return CHANGES[self.drift.kind](content, picture.strength)
        except ImageError:
            return content


class _Folder(Pools[Entry]):
    def __init__(self, where: str) -> None:
        self._listing = listed(where)
        super().__init__(where, "image", ((_label(entry), entry) for entry in self._listing.entries))

    def read(self, entry: Entry) -> bytes:
        return self._listing.read(entry, Limits().max_bytes + 1)


def _label(entry: Entry) -> str:
    return entry.name.partition("/")[0] if "/" in entry.name else ""
