"""CIFAKE's layout in little, as a folder and as Hugging Face's own library writes it."""

import pytest

from tests.data.pictures import encode, picture

CLASSES = ("FAKE", "REAL")
LABELS = ("real", "ai-generated")
NAMES = {"REAL": "real", "FAKE": "ai-generated"}
FORMATS = (("PNG", "png"), ("JPEG", "jpg"))


def write_folder(root):
    """Ten images a class for training and four for testing."""
    number = 0
    for split, count in (("train", 10), ("test", 4)):
        for name in CLASSES:
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                kind, suffix = FORMATS[index % 2]
                number += 1
                (root / split / name / f"{index:04d}.{suffix}").write_bytes(encode(picture(number), kind))
    return root


def write_parquet(folder, target, shards=2):
    """As ``push_to_hub`` lays files out, with the images' bytes; rows are in the order of the folder."""
    datasets = pytest.importorskip("datasets")
    found = datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(target / "cache"))
    (target / "data").mkdir()
    for split, images in found.items():
        whole = images.with_format("arrow").map(datasets.table.embed_table_storage, batched=True)
        for index in range(shards):
            path = target / "data" / f"{split}-{index:05d}-of-{shards:05d}.parquet"
            whole.shard(shards, index, contiguous=True).to_parquet(path)
    return target / "data"
