"""Images from any source into a dataset: decoded once to prove them sound, hashed, kept byte for byte."""

import hashlib
import itertools
import os
import re
import sys
from collections import Counter
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
from bonafide.data import dataset
from bonafide.data.dataset import INFO, DatasetInfo, Origin, Quarantined, ShardWriter
from bonafide.data.decoding import Decoded, decode
from bonafide.errors import DataError, ImageError
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
    known = _only_known_labels(images, labels)
    quarantined: list[Quarantined] = []
    present: Counter[str] = Counter()
    with files.new_folder(out, INFO) as folder, ThreadPoolExecutor(threads) as pool:
        checked = mapped(pool, _examine, known, ahead=4 * threads)
        rows = _usable(_with_progress(checked), folder, quarantined)
        with ShardWriter(folder, dataset.ALL) as writer:
            while chunk := list(itertools.islice(rows, BATCH_ROWS)):
                present.update(row["label_name"] for row in chunk)
                numbered = [{**row, "label": labels.index(row["label_name"])} for row in chunk]
                writer.write(pa.RecordBatch.from_pylist(numbered, dataset.SCHEMA))
            _check_presence(present, labels, quarantined)
        info = dataset.describe(
            folder,
            [dataset.ALL],
            labels,
            seed=seed,
            quarantined=tuple(quarantined),
            skipped=skipped,
            origins=origins,
        )
        dataset.write_info(folder, info)
    return info


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
            unknown = sorted(seen - set(labels))
            raise DataError(
                f"{image.path}: label {image.label_name!r} is not among the task's labels "
                f"[{', '.join(labels)}]; not known: {', '.join(unknown)}. Rename the classes, or run with "
                f"--set name=NAME --set 'labels=[{', '.join(sorted(seen))}]'"
            )
        yield image


def _check_presence(present: Counter[str], labels: tuple[str, ...], quarantined: list[Quarantined]) -> None:
    refused = Counter(file.reason for file in quarantined)
    refusals = ", ".join(f"{count} {reason}" for reason, count in refused.most_common())
    aside = f"; refused: {refusals}, for example {quarantined[0].path}" if quarantined else ""
    if not present:
        raise DataError(f"no usable image{aside or ' in the source'}; give JPEG, PNG or WebP files")
    if len(present) < 2:
        only = next(iter(present))
        raise DataError(
            f"all {present[only]} usable images are {only!r}{aside}; a detector needs at least two classes: "
            f"add images of {', '.join(repr(label) for label in labels if label != only)}"
        )
    if missing := [label for label in labels if not present[label]]:
        raise DataError(
            f"no usable image of the task's label {', '.join(map(repr, missing))}{aside}; add some, or run "
            f"with --set name=NAME --set 'labels=[{', '.join(label for label in labels if present[label])}]'"
        )
