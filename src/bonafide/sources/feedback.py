"""What a model was asked about, with labels that people gave and somebody confirmed."""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from bonafide import files, home
from bonafide.data.build import RawImage
from bonafide.data.header import sniff
from bonafide.feedback import images
from bonafide.feedback.opinion import Confirmed
from bonafide.feedback.reviews import Reviews
from bonafide.feedback.store import opened
from bonafide.modality import Modality
from bonafide.source import FeedbackSource
from bonafide.sources.manifest import MANIFEST

TABLE = "feedback.csv"
NOTHING = hashlib.sha256().hexdigest()
"""The digest where nobody confirmed anything."""
EXTENSIONS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}


def read_feedback(source: FeedbackSource) -> Iterator[RawImage]:
    """The images, in the order in which they were confirmed; of equal ones the last word counts.

    Each image is a group
    of its own, so that a hash of its bytes places it. One that is not there any more is quarantined as an
    empty file.

    Raises:
        StoreError: the store does not answer.
        BonafideError: an image cannot be read.
    """
    for each in confirmed(source, "image"):
        content = images.read(str(each.image)) or b""
        yield RawImage(
            path=told(each),
            content=content,
            label_name=source.labels.get(each.label, each.label),
            source=source.name,
        )


def confirmed(source: FeedbackSource, modality: Modality) -> list[Confirmed]:
    """What is confirmed by ``until``, or by now; of equal inputs the last word counts.

    Raises:
        StoreError: the store does not answer.
    """
    until = datetime.fromisoformat(source.until) if source.until else datetime.now(UTC)
    with opened(home.store()) as store:
        found = Reviews(store.database).confirmed(source.task, until, images=modality == "image")
    last = {each.sha256: each for each in found}
    return [each for each in found if last[each.sha256] is each]


def told(each: Confirmed) -> str:
    """When somebody confirmed it, who had said so, and of which prediction."""
    return f"{_moment(each)}/{each.reviewer}/{each.prediction_id}"


def with_digest(source: FeedbackSource, modality: Modality) -> FeedbackSource:
    """What is confirmed by now, or by ``until`` where that is set, with the digest that caching follows.

    ``until`` becomes the time of the last decision among these, so that nothing new is the same source.

    Raises:
        StoreError: the store does not answer.
    """
    fixed = source.model_copy(update={"until": source.until or datetime.now(UTC).isoformat()})
    found = confirmed(fixed, modality)
    lines = sorted({f"{each.sha256} {each.label}\n" for each in found})
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    until = max(each.decided for each in found).isoformat() if found else fixed.until
    return fixed.model_copy(update={"until": until, "digest": digest})


def is_elsewhere() -> bool:
    """Whether other machines reach the store."""
    return not home.store().startswith("sqlite")


def export(source: FeedbackSource, out: Path) -> int:
    """Write the images as a folder with one sub-folder for each label; ``feedback.csv`` says who and when.

    Returns:
        how many images were written; those that are not there any more are left out.

    Raises:
        BonafideError: as :func:`read_feedback`, or ``out`` cannot be written.
    """
    told = [("path", "confirmed", "reviewer", "prediction")]
    with files.new_folder(out, MANIFEST) as folder:
        for each in confirmed(source, "image"):
            if content := images.read(str(each.image)):
                label = source.labels.get(each.label, each.label)
                path = f"{label}/{each.sha256}{EXTENSIONS.get(sniff(content) or '', '')}"
                files.write_bytes(folder / path, content)
                told.append((path, _moment(each), each.reviewer, each.prediction_id))
        manifest = [("path", "source"), *((path, source.name) for path, *_ in told[1:])]
        files.write_text(folder / TABLE, _csv(told))
        files.write_text(folder / MANIFEST, _csv(manifest))
    return len(told) - 1


def _moment(each: Confirmed) -> str:
    return f"{each.decided:%Y-%m-%dT%H:%M:%SZ}"


def _csv(rows: Iterable[tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
