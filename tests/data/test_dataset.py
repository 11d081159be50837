import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bonafide.data import dataset
from bonafide.data.dataset import ALL, SCHEMA, ShardWriter
from bonafide.data.table import build_table
from bonafide.errors import DataError
from tests.data import flowers
from tests.data.pictures import LABELS, raw_images


def batch(start: int, rows: int, size: int = 10) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(
        [
            {"image": {"bytes": b"x" * size, "path": f"{n}"}, "label": n % 2, "sha256": f"{n:064d}"}
            for n in range(start, start + rows)
        ],
        SCHEMA,
    )


def test_shards_are_cut_at_rows_per_shard_and_keep_order(tmp_path):
    with ShardWriter(tmp_path, "train", rows_per_shard=30) as writer:
        for start in (0, 7, 60):
            writer.write(batch(start, {0: 7, 7: 53, 60: 15}[start]))
    paths = dataset.shards(tmp_path, "train")
    assert [path.name for path in paths] == [f"part-{n:05d}.parquet" for n in range(3)]
    assert [pq.read_metadata(path).num_rows for path in paths] == [30, 30, 15]
    assert dataset.read(tmp_path, "train", ["sha256"])["sha256"].to_pylist() == [
        f"{n:064d}" for n in range(75)
    ]
    assert [row["path"] for row, _ in dataset.images(tmp_path, "train")] == [str(n) for n in range(75)]


def test_row_groups_are_bounded_by_rows_and_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "ROW_GROUP_BYTES", 50_000)
    with ShardWriter(tmp_path, "train") as writer:
        for start in range(0, 64, 8):
            writer.write(batch(start, 8, size=5_000))
        for start in range(64, 5064, 100):
            writer.write(batch(start, 100))
    meta = pq.read_metadata(dataset.shards(tmp_path, "train")[0])
    rows = [meta.row_group(index).num_rows for index in range(meta.num_row_groups)]
    assert sum(rows) == 5064
    assert max(rows) <= dataset.ROW_GROUP_ROWS
    assert rows[0] < 20
    assert sum(part.num_rows for part in dataset.batches(tmp_path, "train")) == 5064


def test_shards_are_bounded_by_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "SHARD_BYTES", 100_000)
    monkeypatch.setattr(dataset, "ROW_GROUP_BYTES", 50_000)
    with ShardWriter(tmp_path, "train") as writer:
        for start in range(0, 64, 8):
            writer.write(batch(start, 8, size=5_000))
    assert len(dataset.shards(tmp_path, "train")) > 1


def test_an_exception_leaves_no_shard(tmp_path):
    with pytest.raises(RuntimeError), ShardWriter(tmp_path, "train", rows_per_shard=10) as writer:
        writer.write(batch(0, 25))
        raise RuntimeError
    assert not list((tmp_path / "train").iterdir())


def test_a_killed_writer_leaves_no_file_that_passes_for_a_shard(tmp_path):
    code = """
import os, sys, pathlib
from bonafide.data.dataset import ShardWriter
from tests.data.test_dataset import batch
with ShardWriter(pathlib.Path(sys.argv[1]), "train", rows_per_shard=10_000) as writer:
    writer.write(batch(0, 3000))
    os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True)
    assert done.returncode == -9, done.stderr.decode()
    with pytest.raises(DataError, match="no split 'train'"):
        dataset.shards(tmp_path, "train")


def test_info_survives_the_round_trip(make_dataset):
    folder, info = make_dataset(raw_images(30))
    assert dataset.read_info(folder) == info
    assert info.counts == {ALL: dict.fromkeys(LABELS, 10)}
    assert info.sources == {"test": 30}
    assert info.generators == {"decoder": 20}
    assert info.seed == 1


def test_examples_are_a_few_of_each_label(make_dataset, tmp_path):
    images = raw_images(30)
    folder, _ = make_dataset(images)
    found = dataset.examples(folder, ALL, LABELS, 2)
    assert [each["truth"] for each in found] == [label for label in LABELS for _ in range(2)]
    known = {image.path: (image.label_name, image.content) for image in images}
    assert all(known[each["name"]] == (each["truth"], each["content"]) for each in found)
    rows = flowers.raw_rows(20)
    build_table([rows], flowers.LABELS, flowers.FEATURES, tmp_path / "table")
    found = dataset.examples(tmp_path / "table", ALL, flowers.LABELS, 3)
    assert [each["truth"] for each in found] == ["rose"] * 3 + ["tulip"] * 3
    for each in found:
        given = rows.columns.loc[int(each["name"].removeprefix("bed.csv#"))]
        assert each["content"].tolist() == given.astype("float32").tolist()


def test_digest_follows_content_label_split_group_and_order():
    """Audits and predictions name rows by position, and intervals rest on groups."""
    rows = [("a", "x", "train", "g"), ("b", "y", "test", "h")]
    assert dataset.digest(rows) == dataset.digest(list(rows))
    others = [("a", "x", "val", "g"), ("a", "y", "train", "g"), ("a", "x", "train", "h")]
    for changed in (rows[::-1], rows[:1], *([other, rows[1]] for other in others)):
        assert dataset.digest(changed) != dataset.digest(rows)


def test_the_content_is_the_same_wherever_it_was_read(make_dataset):
    folder, info = make_dataset(raw_images(30))
    before = dataset.content(folder)
    for name in ("here", "there"):
        origin = dataset.Origin(kind="folder", name=name, digest=name)
        dataset.write_info(folder, info.model_copy(update={"origins": (origin,)}))
        assert dataset.content(folder) == before
    dataset.write_info(folder, info.model_copy(update={"seed": 2}))
    changed = dataset.content(folder)
    (folder / "placement.parquet").write_bytes(b"x")
    assert len({before, changed, dataset.content(folder)}) == 3


@pytest.mark.parametrize("content", ["{", "[]", json.dumps({"labels": ["a"]}), json.dumps({"more": 1})])
def test_a_foreign_info_is_refused(tmp_path, content):
    with pytest.raises(DataError, match="holds no dataset"):
        dataset.read_info(tmp_path)
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(DataError, match="not written by Bonafide"):
        dataset.read_info(tmp_path)


def test_hugging_face_datasets_reads_the_shards_as_images(make_dataset, tmp_path, monkeypatch):
    import datasets

    datasets.disable_progress_bars()
    folder, _ = make_dataset(raw_images(12))
    shards = [str(path) for path in dataset.shards(folder, ALL)]
    loaded = datasets.load_dataset("parquet", data_files={"train": shards}, cache_dir=str(tmp_path / "hf"))
    rows = loaded["train"]
    assert rows.column_names == SCHEMA.names
    assert rows[0]["image"].size == (64, 64)
    assert rows["label"][:3] == [0, 1, 2]
