"""The shortcut audit: can the label be told from facts of the file alone, without looking at the picture?

Public sets of generated images often store one class in another format, size or JPEG quality; a
detector then learns the encoder (Grommelt et al. 2024, "Fake or JPEG?", arXiv 2403.17608).
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from PIL.JpegImagePlugin import JpegImageFile, get_sampling

from bonafide.data.header import Limits, open_header
from bonafide.data.telling import ShortcutAudit, Shortcuts, most

FACTS = (
    "format",
    "mode",
    "quantisation",
    "subsampling",
    "progressive",
    "width",
    "height",
    "exif",
    "icc",
)
CONTENT_SIZE = "content_size"
_SUBSAMPLING = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}

Facts = dict[str, Any]


def file_facts(content: bytes) -> Facts:
    """What an image file tells without its pixels: :data:`FACTS` and ``content_size`` in bytes.

    ``quantisation`` is an id of the JPEG quantisation tables; what a format lacks is ``"none"``.

    Raises:
        ImageError: the header cannot be read; images of a dataset always can be.
    """
    image = open_header(content, Limits(max_bytes=len(content)))
    facts: Facts = {
        "format": image.format,
        "mode": image.mode,
        "quantisation": "none",
        "subsampling": "none",
        "progressive": bool(image.info.get("progressive") or image.info.get("interlace")),
        "width": image.width,
        "height": image.height,
        "exif": "exif" in image.info,
        "icc": "icc_profile" in image.info,
        CONTENT_SIZE: len(content),
    }
    if isinstance(image, JpegImageFile):
        tables = repr(sorted((number, list(table)) for number, table in image.quantization.items()))
        facts["quantisation"] = hashlib.sha256(tables.encode()).hexdigest()[:8]
        facts["subsampling"] = _SUBSAMPLING.get(get_sampling(image), "other")
    return facts


def audit_files(
    facts: Iterable[Facts], labels: Sequence[str], groups: Sequence[str], seed: int
) -> ShortcutAudit:
    """Tell one label from the others by the facts, as :class:`bonafide.data.telling.Shortcuts` does.

    Args:
        facts: one mapping of :func:`file_facts` an image.
        labels: names [N]; at least two, each at least twice.
        groups: [N].
        seed: of the folds and the trees.
    """
    rows = list(facts)
    columns = {fact: [row[fact] for row in rows] for fact in (*FACTS, CONTENT_SIZE)}
    found = Shortcuts(columns, labels, groups, seed)
    return ShortcutAudit(
        by_label={telling.label: telling for telling in found.tell(*FACTS)},
        by_fact={fact: most(found.tell(fact)) for fact in FACTS},
        content_size=most(found.tell(CONTENT_SIZE)),
    )
