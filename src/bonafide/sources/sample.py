"""The offline sample: three classes made on the spot from real photographs, with no download.

``real`` is a patch of a photograph, ``ai-generated`` its re-synthesis by a small decoder and ``deepfake`` the
patch with one soft-edged ellipse replaced by a re-synthesis. A region of a photograph is the group. All leave
through one JPEG encoder, so that file facts cannot separate them. Its figures say nothing about the world.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonafide.errors import DataError
from bonafide.files import new_folder
from bonafide.progress import progress
from bonafide.sources.decoders import FAMILIES, resynthesise
from bonafide.sources.photographs import PHOTOGRAPHS, Photograph

MANIFEST = "manifest.csv"
LABELS = ("real", "ai-generated", "deepfake")
JPEG_QUALITY = 95
CROP = (1.25, 3.0)
TRIES, TURN = 500, 4
TEXTURE = 6.0
ELLIPSE = (0.25, 0.5)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Entry:
    """A row of ``manifest.csv``; ``path`` is relative to the sample's folder."""

    path: str
    group: str
    generator: str
    source: str


def build_sample(out: Path, images: int, size: int, seed: int, taught: int | None = None) -> Path:
    """Write the sample as one folder of JPEG files per class, with ``manifest.csv`` and ``LICENCES.csv``.

    Args:
        out: the folder to make; it appears whole or not at all.
        images: how many in all, shared evenly by the classes (rounded down).
        size: side of an image in pixels, a multiple of 4.
        seed: the same seed gives the same bytes on the same machine.
        taught: how many of the images the generators learn from; by default all. So many make a sample of
            their own: these are its images, and the others are more from the same generators.

    Raises:
        DataError: a photograph is missing from its package, or none has texture at that size.
    """
    bar = progress("Building the sample", len(FAMILIES) + 2)
    with new_folder(out, MANIFEST) as folder, bar as advance:
        names, patches = cut(images // len(LABELS), size, seed)
        advance(detail="cut the patches")
        fakes = {}
        for family, reconstructions in resynthesise(patches, seed, taught and taught // len(LABELS)):
            fakes[family] = reconstructions
            advance(detail=f"trained the {family} decoder")
        _write(folder, names, patches, fakes, seed)
        advance(detail="written")
    return out


def cut(count: int, size: int, seed: int) -> tuple[list[str], Pixels]:
    """Cut textured patches, as evenly from each photograph, and each of its regions, as texture allows.

    Returns:
        names of the regions, [count], and the patches, uint8 [count, size, size, 3].
    """
    streams = [_patches(photograph, size, [seed, number]) for number, photograph in enumerate(PHOTOGRAPHS)]
    names: list[str] = []
    patches: list[Pixels] = []
    while len(patches) < count:
        before = len(patches)
        for name, patch in chain.from_iterable(islice(stream, 1) for stream in streams):
            names.append(name)
            patches.append(patch)
        if len(patches) == before:
            raise DataError(f"the photographs hold no textured patch of {size} px; ask for smaller images")
    return names[:count], np.stack(patches[:count])


def _patches(photograph: Photograph, size: int, seed: list[int]) -> Iterator[tuple[str, Pixels]]:
    """Patches of the photograph with their regions' names; regions take turns until they give no more."""
    streams = {
        name: _textured(region, size, [*seed, number])
        for number, (name, region) in enumerate(photograph.regions().items())
    }
    while streams:
        for name, stream in list(streams.items()):
            try:
                patch = next(stream)
            except StopIteration:
                del streams[name]
            else:
                if patch is not None:
                    yield name, patch


def _textured(region: Image.Image, size: int, seed: list[int]) -> Iterator[Pixels | None]:
    """Patches at random places, with None after every few misses, until ``TRIES`` of them in a row."""
    random = np.random.default_rng(seed)
    misses = 0
    while misses < TRIES:
        side = min(int(size * random.uniform(*CROP)), *region.size)
        left, top = (int(random.integers(extent - side + 1)) for extent in region.size)
        box = (left, top, left + side, top + side)
        patch = np.asarray(region.resize((size, size), Image.Resampling.LANCZOS, box=box))
        if random.random() < 0.5:
            patch = patch[:, ::-1]
        if texture(patch) >= TEXTURE:
            misses = 0
            yield patch
        else:
            misses += 1
            if misses % TURN == 0:
                yield None


def texture(patch: Pixels) -> float:
    """Mean absolute gradient of grey levels in the patch's lower-quartile cell of a 4×4 grid."""
    grey = patch.sum(axis=2, dtype=np.int32)
    down, right = np.abs(np.diff(grey, axis=0))[:, :-1], np.abs(np.diff(grey, axis=1))[:-1]
    parts = np.array_split(np.arange(len(down)), 4)
    starts, sizes = [part[0] for part in parts], np.array([len(part) for part in parts])
    cells = np.add.reduceat(np.add.reduceat(down + right, starts, axis=0), starts, axis=1)
    return float(np.sort((cells / np.outer(sizes, sizes)).ravel())[4] / 3)


def alter(patch: Pixels, fake: Pixels, random: np.random.Generator) -> Pixels:
    """Replace one soft-edged ellipse of ``patch`` by ``fake``; both uint8 [S, S, 3]."""
    size = len(patch)
    area, aspect = random.uniform(*ELLIPSE) * size**2, random.uniform(0.7, 1.4)
    radii = np.sqrt(area / np.pi * np.array([aspect, 1 / aspect]))
    centre = random.uniform(size * 0.3, size * 0.7, 2)
    grid = np.moveaxis(np.indices((size, size)), 0, -1)
    distance = np.linalg.norm((grid - centre) / radii, axis=-1)
    alpha = np.clip((1.1 - distance) / 0.2, 0, 1)[..., None]
    blended: Pixels = (alpha * fake + (1 - alpha) * patch).round().astype(np.uint8)
    return blended


def _write(folder: Path, names: list[str], patches: Pixels, fakes: dict[str, Pixels], seed: int) -> None:
    random = np.random.default_rng(seed)
    families = list(fakes)
    entries = []
    for label in LABELS:
        (folder / label).mkdir()
    for number, (name, patch) in enumerate(zip(names, patches, strict=True)):
        whole, part = (families[index] for index in random.integers(len(families), size=2))
        made = {
            "real": (patch, ""),
            "ai-generated": (fakes[whole][number], whole),
            "deepfake": (alter(patch, fakes[part][number], random), part),
        }
        for label, (pixels, generator) in made.items():
            path = f"{label}/{name}-{number:05d}.jpg"
            (folder / path).write_bytes(_encode(pixels))
            entries.append(Entry(path, name, generator, "offline-sample"))
    (folder / MANIFEST).write_text(_csv(Entry, entries))
    (folder / "LICENCES.csv").write_text(_csv(Photograph, list(PHOTOGRAPHS)))


def _encode(pixels: Pixels) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return stream.getvalue()


def _csv(kind: type, rows: list[Entry] | list[Photograph]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(field.name for field in fields(kind))
    writer.writerows(
        [" ".join(value) if isinstance(value, tuple) else value for value in astuple(row)] for row in rows
    )
    return stream.getvalue()
