from collections.abc import Callable
from pathlib import Path

import pytest

from bonafide.data.dataset import DatasetInfo
from bonafide.data.ingest import RawImage, ingest
from tests.data.pictures import LABELS


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., tuple[Path, DatasetInfo]]:
    def make(images: list[RawImage], labels=LABELS) -> tuple[Path, DatasetInfo]:
        folder = tmp_path / "dataset"
        return folder, ingest(images, labels, folder, seed=1)

    return make
