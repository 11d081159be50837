from collections.abc import Callable
from pathlib import Path

import pytest

from bonafide.data.build import RawImage, build_dataset
from bonafide.data.dataset import DatasetInfo
from tests.data.pictures import LABELS


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., tuple[Path, DatasetInfo]]:
    def make(images: list[RawImage], labels=LABELS) -> tuple[Path, DatasetInfo]:
        folder = tmp_path / "dataset"
        return folder, build_dataset(images, labels, folder, seed=1)

    return make
