"""Parquet as Hugging Face's own library writes it, and as others do."""

import io
import itertools
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bonafide.data.dataset import read, read_info
from bonafide.errors import DataError
from bonafide.source import ParquetSource
from bonafide.sources.digests import with_digest
from bonafide.sources.ingest import ingest
from bonafide.sources.parquet import BATCH_ROWS, ENDINGS, LARGEST, MEAN_LIMIT, read_parquet
from bonafide.sources.tree import files_digest
from bonafide.task import load_task
from tests.buckets import gs, s3, scheme
from tests.data.pictures import encode, picture

__all__ = ["gs", "s3", "scheme"]

CLASSES = ("FAKE", "REAL")
LABELS = ("real", "fake")
NAMES = {"FAKE": "fake", "REAL": "real"}


@pytest.fixture(scope="module")
def images():
    """CIFAKE's layout in little: name, class and content, in the order of a folder's files."""
    return [
        (f"train/{name}/{number}.png", name, encode(picture(number + 40 * index), "PNG"))
        for index, name in enumerate(CLASSES)
        for number in range(5)
    ]


@pytest.fixture(scope="module")
def content(images):
    """A file with numbered labels, written by Hugging Face's library."""
    datasets = pytest.importorskip("datasets")
    columns = {
        "image": [{"bytes": content, "path": name.rpartition("/")[2]} for name, _, content in images],
        "label": [CLASSES.index(name) for _, name, _ in images],
    }
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=list(CLASSES)))
    stream = io.BytesIO()
    datasets.Dataset.from_dict(columns, features=features).to_parquet(stream)
    return stream.getvalue()


@pytest.fixture
def local(content, tmp_path):
    path = tmp_path / "cifake" / "data" / "train-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def table(path, **columns):
    pq.write_table(pa.table(columns), path)
    return ParquetSource(path=str(path))


def made(source, out, labels=LABELS):
    return ingest((source,), labels, out, seed=1)


@pytest.mark.parametrize(
    "pattern", ["", "/data", "/data/train-*.parquet", "/data/train-00000-of-00001.parquet"]
)
def test_a_file_a_folder_and_a_pattern_are_read(local, tmp_path, pattern):
    source = ParquetSource(path=f"{local.parents[1]}{pattern}", labels=NAMES, name="cifake")
    info = made(source, tmp_path / "out")
    assert info == read_info(tmp_path / "out")
    assert info.counts == {"all": {"real": 5, "fake": 5}}
    assert info.sources == {"cifake": 10}
    rows = read(tmp_path / "out", "all", ["image", "given"]).to_pylist()
    assert {row["given"] for row in rows} == {"train"}
    assert rows[0]["image"]["path"] == "0.png"


def test_other_columns_and_texts_as_labels(tmp_path):
    contents = [encode(picture(number), "PNG") for number in range(4)]
    source = table(
        tmp_path / "x.parquet",
        picture=contents,
        kind=["real", "fake"] * 2,
        model=[None, "gan"] * 2,
        photo=[1, 1, 2, 2],
    ).model_copy(update={"image": "picture", "label": "kind", "generator": "model", "group": "photo"})
    info = made(source, tmp_path / "out")
    assert info.generators == {"gan": 2}
    rows = read(tmp_path / "out", "all", ["group", "image", "given"]).to_pylist()
    assert [row["group"] for row in rows] == ["1", "1", "2", "2"]
    assert [row["image"]["path"] for row in rows] == [f"x.parquet#{number}" for number in range(4)]
    assert {row["given"] for row in rows} == {None}


def test_a_row_without_an_image_is_quarantined(tmp_path):
    contents = [encode(picture(number), "PNG") for number in range(4)]
    source = table(tmp_path / "x.parquet", image=[*contents, None, b"no image"], label=["real", "fake"] * 3)
    info = made(source, tmp_path / "out")
    assert [found.reason for found in info.quarantined] == ["empty", "not-an-image"]


def test_a_value_in_every_row_of_a_small_file_is_cut_and_one_row_is_held(tmp_path):
    huge = bytes(LARGEST + 100)
    source = table(tmp_path / "x.parquet", image=[huge] * 64, label=["real", "fake"] * 32)
    assert (tmp_path / "x.parquet").stat().st_size < LARGEST / 10
    before = pa.total_allocated_bytes()
    for image in itertools.islice(read_parquet(source), 3):
        assert len(image.content) == LARGEST + 1
        assert pa.total_allocated_bytes() - before < 4 * LARGEST


def test_images_that_are_huge_on_average_are_refused_unread(tmp_path, monkeypatch):
    source = table(tmp_path / "x.parquet", image=[bytes(MEAN_LIMIT + 1)], label=["real"])
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", lambda *_, **__: pytest.fail("it is read"))
    with pytest.raises(DataError, match=r"x.parquet: an image in row group 0 takes 83,\d+,\d+ bytes"):
        next(read_parquet(source))


def test_a_file_without_rows_is_read(tmp_path):
    table(tmp_path / "x.parquet", image=pa.array([], pa.binary()), label=pa.array([], pa.string()))
    assert not list(read_parquet(ParquetSource(path=str(tmp_path))))


@pytest.mark.parametrize(
    ("file", "given"),
    [
        ("train_aug/test-0000.parquet", "test"),
        ("default/partial-train/0000.parquet", "train"),
        ("test/train-0.parquet", "train"),
        ("data/validation-0.parquet", "val"),
        ("trainer/0000.parquet", None),
    ],
)
def test_the_split_is_the_last_that_a_path_names(tmp_path, file, given):
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    table(tmp_path / file, image=[b"x"], label=["real"])
    assert [image.given for image in read_parquet(ParquetSource(path=str(tmp_path)))] == [given]


@pytest.mark.parametrize(
    "pattern", ["set-?/0?.parquet", "set-[12]/*.parquet", "*/00.parquet", "set-1/00.parquet"]
)
def test_a_folder_above_the_source_names_no_split(tmp_path, pattern):
    folder = tmp_path / "train" / "set-1"
    folder.mkdir(parents=True)
    table(folder / "00.parquet", image=[b"x"], label=["real"])
    source = ParquetSource(path=f"{folder.parent}/{pattern}")
    assert [image.given for image in read_parquet(source)] == [None]


def test_cells_of_odd_types_are_no_images(tmp_path):
    good = [{"bytes": encode(picture(number), "PNG"), "path": number} for number in range(4)]
    source = table(tmp_path / "x.parquet", image=good, label=["real", "fake"] * 2)
    assert [image.path for image in read_parquet(source)] == [f"x.parquet#{number}" for number in range(4)]
    source = table(tmp_path / "x.parquet", image=[{"bytes": "text", "path": "a.png"}], label=["real"])
    assert [(image.path, image.content) for image in read_parquet(source)] == [("a.png", b"")]


def test_a_number_whose_name_is_null_stays_a_number(tmp_path):
    features = {"info": {"features": {"label": {"names": [None, "fake"]}}}}
    rows = pa.table({"image": [b"x", b"y"], "label": [0, 1]})
    rows = rows.replace_schema_metadata({"huggingface": json.dumps(features)})
    pq.write_table(rows, tmp_path / "x.parquet")
    found = read_parquet(ParquetSource(path=str(tmp_path / "x.parquet"), labels={"0": "real"}))
    assert [image.label_name for image in found] == ["real", "fake"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"picture": [b"x"], "label": ["real"]}, "has no column 'image'; it has picture, label"),
        ({"image": [b"x"], "kind": ["real"]}, "has no column 'label'"),
        ({"image": [b"x"], "label": [7]}, "7"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, columns, said):
    with pytest.raises(DataError, match=said):
        made(table(tmp_path / "x.parquet", **columns), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_not_there_or_no_parquet_is_named(tmp_path):
    with pytest.raises(DataError, match=r"names no .parquet file; give a file, a folder, or a pattern"):
        made(ParquetSource(path=str(tmp_path / "none")), tmp_path / "out")
    (tmp_path / "x.parquet").write_bytes(b"PAR1, or so")
    with pytest.raises(DataError, match=r"cannot read .*x.parquet"):
        made(ParquetSource(path=str(tmp_path / "x.parquet")), tmp_path / "out")


def test_a_bucket_that_may_not_be_read_is_named(scheme, tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        made(ParquetSource(path=f"{scheme}://nowhere/at/all"), tmp_path / "out")


def test_a_large_file_is_read_row_by_row(tmp_path, monkeypatch):
    content = encode(picture(1), "PNG")
    source = table(tmp_path / "x.parquet", image=[content] * 200, label=["real"] * 200)
    taken, read_batches = [], pq.ParquetFile.iter_batches

    def counted(self, size, **options):
        for batch in read_batches(self, size, **options):
            taken.append(len(batch))
            yield batch

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", counted)
    images = read_parquet(source)
    next(images)
    assert taken == [BATCH_ROWS]
    images.close()


def test_caching_follows_an_object_that_is_written_anew(content, scheme):
    """In one process: a client keeps no listing."""
    import fsspec

    filesystem = fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False)
    filesystem.exists("anew") or filesystem.mkdir("anew")
    seen = set()
    for more in (b"", b"more"):
        filesystem.pipe("anew/data/train.parquet", content + more)
        seen |= {files_digest(f"{scheme}://anew/data", ENDINGS) for _ in range(2)}
    assert len(seen) == 2


def test_caching_follows_the_files_that_are_there(local):
    task = load_task("authenticity").model_copy(update={"source": ParquetSource(path=str(local))})
    first = with_digest(task)
    assert with_digest(first) == first
    local.with_name("train-00001.parquet").write_bytes(local.read_bytes())
    more = task.model_copy(update={"source": ParquetSource(path=str(local.parent))})
    assert with_digest(more).source.digest != first.source.digest
