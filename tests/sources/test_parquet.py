"""Parquet as Hugging Face's own library writes it, and as others do."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bonafide.data.dataset import read, read_info
from bonafide.errors import DataError
from bonafide.sources.ingest import ingest, with_digest
from bonafide.sources.parquet import parquet_digest
from bonafide.task import ParquetSource, load_task
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


def test_a_large_file_is_read_a_few_rows_at_a_time(tmp_path, monkeypatch):
    content = encode(picture(1), "PNG")
    source = table(tmp_path / "x.parquet", image=[content] * 200, label=["real"] * 200)
    from bonafide.sources.parquet import BATCH_ROWS, read_parquet

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
        seen |= {parquet_digest(ParquetSource(path=f"{scheme}://anew/data")) for _ in range(2)}
    assert len(seen) == 2


def test_caching_follows_the_files_that_are_there(local):
    task = load_task("authenticity").model_copy(update={"source": ParquetSource(path=str(local))})
    first = with_digest(task)
    assert with_digest(first) == first
    local.with_name("train-00001.parquet").write_bytes(local.read_bytes())
    more = task.model_copy(update={"source": ParquetSource(path=str(local.parent))})
    assert with_digest(more).source.digest != first.source.digest
