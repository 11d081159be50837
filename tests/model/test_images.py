import tempfile

import numpy as np
import pyarrow as pa
import pytest
import torch

from bonafide.data import dataset as datasets
from bonafide.errors import BonafideError, DataError
from bonafide.model.augmentation import traces
from bonafide.model.images import Images, in_order, shuffled


def order(images: Images, batch_size: int, seed: int) -> list[int]:
    return list(shuffled(images, batch_size, seed).sampler)


def test_items_are_the_rows_of_the_split(dataset):
    images = Images(dataset, "test", 32)
    rows = datasets.read(dataset, "test", ["label"])["label"].to_pylist()
    assert len(images) == len(rows)
    assert images.labels.tolist() == rows
    pixels, label = images[3]
    assert pixels.dtype == torch.uint8
    assert pixels.shape == (32, 32, 3)
    assert np.array_equal(pixels.numpy(), images.pixels(3))
    assert label == rows[3]


@pytest.mark.parametrize("size", [24, 48])
def test_images_are_fitted_to_the_size_of_the_model(dataset, size):
    assert Images(dataset, "val", size).pixels(0).shape == (size, size, 3)


def test_augmentation_depends_on_seed_epoch_and_index_alone(dataset):
    def item(seed: int | None, epoch: int, index: int = 0, before: int = 0) -> np.ndarray:
        images = Images(dataset, "train", 32, None if seed is None else traces, seed or 0)
        images.epoch = epoch
        for other in range(before):
            images[other]
        return images[index][0].numpy()

    assert np.array_equal(item(1, 2), item(1, 2, before=5))
    assert not np.array_equal(item(1, 2), item(1, 3))
    assert not np.array_equal(item(1, 2), item(2, 2))
    assert np.array_equal(item(None, 2), item(None, 3))


def test_the_order_depends_on_seed_and_epoch(dataset):
    images = Images(dataset, "train", 32)
    first = order(images, 16, seed=1)
    assert sorted(first) == list(range(len(images)))
    assert first == order(images, 16, seed=1)
    assert first != order(images, 16, seed=2)
    images.epoch = 1
    assert first != order(images, 16, seed=1)


def test_a_short_last_batch_is_dropped_unless_it_is_the_only_one(dataset):
    images = Images(dataset, "train", 32)
    assert {len(labels) for _, labels in shuffled(images, 16, seed=1)} == {16}
    ((_, labels),) = shuffled(images, 10_000, seed=1)
    assert len(labels) == len(images)


def test_in_order_leaves_nothing_out(dataset):
    images = Images(dataset, "train", 32)
    labels = torch.cat([labels for _, labels in in_order(images, 7)])
    assert labels.tolist() == images.labels.tolist()


def test_files_stay_on_the_disk(tmp_path):
    """A split of 40 MB is opened and read at random while almost nothing is allocated for it."""
    contents = [np.random.default_rng(n).bytes(400_000) for n in range(100)]
    with datasets.ShardWriter(tmp_path, "train", rows_per_shard=40) as writer:
        for number, content in enumerate(contents):
            row = {"image": {"bytes": content, "path": str(number)}, "label": number % 2}
            writer.write(pa.RecordBatch.from_pylist([row], datasets.SCHEMA))
    before = pa.total_allocated_bytes()
    images = Images(tmp_path, "train", 32)
    assert pa.total_allocated_bytes() - before < 1_000_000
    assert all(images.content(number) == contents[number] for number in (99, 0, 57))
    assert images.labels.tolist() == [0, 1] * 50
    assert pa.total_allocated_bytes() - before < 1_000_000


def test_no_room_for_the_copy_is_a_readable_error(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(BonafideError, match=r"cannot copy the split 'train' to .*nowhere.*TMPDIR"):
        Images(dataset, "train", 32)


def test_a_missing_split_is_named(dataset):
    with pytest.raises(DataError, match="no split 'holdout'; it has: test, train, val"):
        Images(dataset, "holdout", 32)
