"""Images from any source into a dataset: decoded once to prove them sound, hashed, kept byte for byte."""

import hashlib
import itertools
import os
import re
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from PIL import Image
from rich.console import Console
from rich.progress import track

from bonafide import files
from bonafide.data.dataset import SCHEMA, DatasetInfo, Origin, Quarantined
from bonafide.data.decoding import Decoded, decode
from bonafide.data.writing import unknown_label, write_dataset
from bonafide.errors import ImageError
from bonafide.threads import mapped

BATCH_ROWS = 64
LABELS_AHEAD = 1000
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._ -]")

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class RawImage:
    """An image file as a source hands it over.

    ``path`` is its name for people; images of one ``group`` stay in one split; without a group the
    image is its own. ``generator`` is None for photographs. ``given`` is the split that the source itself
    puts the image in, if it does.
    """

    path: str
    content: bytes
    label_name: str
    source: str
    generator: str | None = None
    group: str | None = None
    given: str | None = None


def build_dataset(
    images: Iterable[RawImage],
    labels: tuple[str, ...],
    out: Path,
    seed: int | None = None,
    workers: int | None = None,
    skipped: tuple[str, ...] = (),
    origins: tuple[Origin, ...] = (),
) -> DatasetInfo:
    """Write the dataset ``out`` with the one split ``all``, rows in the order of ``images``.

    A file that cannot be decoded within the limits goes to ``out/quarantine`` and is listed with its
    reason in ``dataset.json``. ``out`` appears whole or not at all. The same arguments give the same bytes.

    Args:
        images: read once, a few at a time.
        labels: the task's label names; a label's index here is its number.
        seed: recorded, when the source was drawn with one.
        workers: decoding threads; by default one a core, at most 8.
        skipped: recorded, the files that the source passed over.
        origins: recorded, the sources.

    Raises:
        DataError: a label is not among ``labels`` or has no usable image, or nothing is usable.
    """
    threads = workers or min(os.cpu_count() or 1, 8)

    def batches(folder: Path, quarantined: list[Quarantined]) -> Iterator[pa.RecordBatch]:
        with ThreadPoolExecutor(threads) as pool:
            checked = mapped(pool, _examine, _only_known_labels(images, labels), ahead=4 * threads)
            rows = _usable(_with_progress(checked), folder, quarantined)
            while chunk := list(itertools.islice(rows, BATCH_ROWS)):
                numbered = [{**row, "label": labels.index(row["label_name"])} for row in chunk]
                yield pa.RecordBatch.from_pylist(numbered, SCHEMA)

    usable = "give JPEG, PNG or WebP files"
    return write_dataset(batches, labels, out, "image", usable, seed=seed, skipped=skipped, origins=origins)


def phash(decoded: Decoded) -> str:
    """The 64-bit DCT perceptual hash (Zauner 2010, ``imagehash.phash``) as 16 hexadecimal digits."""
    import imagehash

    return str(imagehash.phash(Image.fromarray(decoded.pixels)))


def _examine(image: RawImage) -> tuple[RawImage, dict[str, Any] | ImageError]:
    try:
        decoded = decode(image.content)
    except ImageError as error:
        return image, error
    sha = hashlib.sha256(image.content).hexdigest()
    return image, {
        "image": {"bytes": image.content, "path": image.path},
        "label_name": image.label_name,
        "sha256": sha,
        "phash": phash(decoded),
        "width": decoded.width,
        "height": decoded.height,
        "format": decoded.format,
        "source": image.source,
        "generator": image.generator,
        "group": image.group or sha,
        "given": image.given,
    }


def _with_progress(items: Iterable[Item]) -> Iterable[Item]:
    return track(items, "ingest", console=Console(stderr=True), disable=not sys.stderr.isatty())


def _usable(
    checked: Iterable[tuple[RawImage, dict[str, Any] | ImageError]],
    folder: Path,
    quarantined: list[Quarantined],
) -> Iterator[dict[str, Any]]:
    for image, result in checked:
        if isinstance(result, ImageError):
            sha = hashlib.sha256(image.content).hexdigest()
            name = f"{sha[:16]}-{NOT_IN_NAMES.sub('_', Path(image.path).name)[-150:]}"
            files.write_bytes(folder / "quarantine" / name, image.content)
            quarantined.append(Quarantined(path=image.path, reason=result.reason, message=str(result)))
        else:
            yield result


def _only_known_labels(images: Iterable[RawImage], labels: tuple[str, ...]) -> Iterator[RawImage]:
    seen: set[str] = set()
    for image in (stream := iter(images)):
        seen.add(image.label_name)
        if image.label_name not in labels:
            seen.update(rest.label_name for rest in itertools.islice(stream, LABELS_AHEAD))
            raise unknown_label(image.path, image.label_name, seen, labels)
        yield image
