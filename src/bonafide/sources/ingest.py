"""The ingest step: from any source to a dataset."""

import tempfile
from pathlib import Path

from bonafide.data.build import build_dataset
from bonafide.data.dataset import DatasetInfo
from bonafide.sources.folder import read_folder, skipped_files
from bonafide.task import FolderSource, Source


def ingest(source: Source, labels: tuple[str, ...], out: Path, seed: int) -> DatasetInfo:
    """Write the source's images to ``out`` as one unsplit dataset.

    Raises:
        DataError: the source is not there, or holds no usable images of at least two of the labels.
    """
    if isinstance(source, FolderSource):
        path = Path(source.path)
        return build_dataset(read_folder(path), labels, out, seed, skipped=skipped_files(path))
    from bonafide.sources.sample import build_sample

    with tempfile.TemporaryDirectory() as scratch:
        folder = build_sample(Path(scratch) / "sample", source.images, source.size, seed)
        return build_dataset(read_folder(folder), labels, out, seed)
