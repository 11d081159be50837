"""Tables from CSV and Parquet files, here and in buckets, and from scikit-learn."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bonafide.data.dataset import Origin, paths, read, rows
from bonafide.errors import DataError
from bonafide.features import Feature
from bonafide.source import RowsSource, ScikitLearnSource
from bonafide.sources.digests import as_seen_elsewhere, with_digest, with_source
from bonafide.sources.rows import ingest
from bonafide.task import load_task
from tests.buckets import gs, s3, scheme

__all__ = ["gs", "s3", "scheme"]

LABELS = ("rose", "tulip")
FEATURES = (Feature(name="height", unit="cm", low=1), Feature(name="petals", low=3, whole=True))
LINES = [
    (30.5, 5, "rose", "bed 1"),
    (41, 6, "tulip", "bed 1"),
    (29.25, 8, "rose", ""),
    (44, 6, "tulip", "2/x"),
]
CSV = "height,petals,label,bed\n" + "".join(f"{','.join(map(str, line))}\n" for line in LINES)


def write(path, content=CSV, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode(encoding))
    return str(path)


def table(path, **columns):
    names = ("height", "petals", "label", "bed")
    given = dict(zip(names, map(list, zip(*LINES, strict=True)), strict=True)) | columns
    pq.write_table(pa.table(given), path)
    return str(path)


def made(out, *sources, labels=LABELS, features=FEATURES):
    return ingest(sources, labels, out, 3, features)


def groups(out):
    return read(out, "all", ["group"])["group"].to_pylist()


def test_a_csv_file_becomes_a_dataset(tmp_path):
    source = RowsSource(path=write(tmp_path / "beds.csv"), group="bed")
    info = made(tmp_path / "out", source)
    assert info.counts == {"all": {"rose": 2, "tulip": 2}}
    assert info.origins == (Origin(kind="rows", name="beds.csv", digest=""),)
    assert info.sources == {"beds.csv": 4}
    np.testing.assert_array_equal(rows(tmp_path / "out", "all"), [line[:2] for line in LINES])
    assert paths(tmp_path / "out", "all") == [f"beds.csv#{number}" for number in range(4)]
    shas = read(tmp_path / "out", "all", ["sha256"])["sha256"].to_pylist()
    assert groups(tmp_path / "out") == ["bed 1", "bed 1", shas[2], "1/2/x"]


@pytest.mark.parametrize(
    "content", ["\ufeff" + CSV, CSV.replace("\n", "\r\n"), CSV.replace("rose", '"rose"'), f"{CSV}\n\n"]
)
def test_csv_files_as_programs_write_them_are_the_same(tmp_path, content):
    plain = made(tmp_path / "plain", RowsSource(path=write(tmp_path / "a" / "beds.csv")))
    other = made(tmp_path / "other", RowsSource(path=write(tmp_path / "b" / "beds.csv", content)))
    assert plain.digest == other.digest


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"petals": pa.array([5, 6, 8, 6], pa.int8())},
        {"height": pa.array(["30.5", "41", "29.25", "44"])},
        {"label": pa.array(["rose", "tulip", "rose", "tulip"]).dictionary_encode()},
        {"height": pa.array(["30.5", "41", "29.25", "44"]).dictionary_encode()},
    ],
)
def test_parquet_of_several_types_is_the_same(tmp_path, columns):
    text = made(tmp_path / "text", RowsSource(path=write(tmp_path / "beds.csv"), group="bed"))
    parquet = RowsSource(path=table(tmp_path / "beds.parquet", **columns), group="bed", name="beds.csv")
    numbers = rows(tmp_path / "text", "all")
    assert made(tmp_path / "out", parquet).counts == text.counts
    np.testing.assert_array_equal(rows(tmp_path / "out", "all"), numbers)


def test_columns_and_labels_may_have_other_names_in_the_file(tmp_path):
    content = "Höhe (cm),n,Art\n30,5,0\n40,6,1\n"
    source = RowsSource(
        path=write(tmp_path / "beds.csv", content),
        columns={"height": "Höhe (cm)", "petals": "n"},
        label="Art",
        labels={"0": "rose", "1": "tulip"},
    )
    assert made(tmp_path / "out", source).counts == {"all": {"rose": 1, "tulip": 1}}


def test_cells_that_hold_nothing_or_nonsense_are_quarantined(tmp_path):
    content = f"{CSV},5,rose,\nNA,5,rose,\n30,5,,\n1_0,5,rose,\n30,5.5,rose,\n"
    info = made(tmp_path / "out", RowsSource(path=write(tmp_path / "beds.csv", content)))
    assert [(each.path, each.reason) for each in info.quarantined] == [
        ("beds.csv#4", "missing"),
        ("beds.csv#5", "missing"),
        ("beds.csv#6", "missing"),
        ("beds.csv#7", "wrong-type"),
        ("beds.csv#8", "out-of-range"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("height,label\n1,rose\n", "has no column 'petals'; it has height, label"),
        ("height,petals\n1,3\n", "has no column 'label'"),
        (CSV + "1,2\n", "cannot read .*beds.csv.*Expected 4 columns, got 2"),
        ("", "cannot read .*beds.csv.*Empty CSV file"),
        (CSV.replace("rose", "daisy"), "beds.csv#0: label 'daisy' is not among"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        made(tmp_path / "out", RowsSource(path=write(tmp_path / "beds.csv", content)))
    assert not (tmp_path / "out").exists()


def test_a_column_of_something_else_than_numbers_is_refused(tmp_path):
    source = RowsSource(path=table(tmp_path / "beds.parquet", height=[True, False, True, True]))
    with pytest.raises(DataError, match=r"beds.parquet: column 'height' holds bool values.*numbers"):
        made(tmp_path / "out", source)


def test_a_place_without_a_table_is_refused(tmp_path):
    write(tmp_path / "notes.txt")
    for place in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(DataError, match=r"names no .csv or .parquet file; give a file, a folder"):
            made(tmp_path / "out", RowsSource(path=str(place)))


def test_a_folder_of_files_becomes_one_dataset_that_knows_its_split(tmp_path):
    write(tmp_path / "beds" / "test.csv")
    (tmp_path / "beds" / "train").mkdir()
    table(tmp_path / "beds" / "train" / "more.parquet", height=[1.5, 2, 3, 4])
    info = made(tmp_path / "out", RowsSource(path=str(tmp_path / "beds")))
    assert info.sources == {"beds": 8}
    given = read(tmp_path / "out", "all", ["given"])["given"].to_pylist()
    assert given == ["test"] * 4 + ["train"] * 4


def test_groups_of_several_sources_do_not_meet_but_by_namespace(tmp_path):
    one, other = (RowsSource(path=write(tmp_path / name / "beds.csv"), group="bed") for name in "ab")
    info = made(tmp_path / "out", one, other)
    assert sum(info.counts["all"].values()) == 8
    assert groups(tmp_path / "out")[4:6] == ["2/bed 1"] * 2
    assert groups(tmp_path / "out")[7] == "2/2/x"
    shared = [source.model_copy(update={"namespace": "garden"}) for source in (one, other)]
    made(tmp_path / "shared", *shared)
    assert groups(tmp_path / "shared")[4:6] == ["bed 1"] * 2


def test_a_bucket_s_rows_are_those_of_the_disk(tmp_path, scheme):
    import fsspec

    filesystem = fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False)
    if not filesystem.exists("rows"):
        filesystem.mkdir("rows")
    filesystem.pipe(f"{scheme}://rows/beds.csv", CSV.encode())
    source = RowsSource(path=f"{scheme}://rows/beds.csv")
    here = made(tmp_path / "here", RowsSource(path=write(tmp_path / "beds.csv")))
    assert made(tmp_path / "there", source).digest == here.digest
    task = flowers(source)
    known = as_seen_elsewhere(task).source
    assert known.digest
    assert as_seen_elsewhere(task).source == known == with_digest(task).source
    filesystem.pipe(f"{scheme}://rows/beds.csv", CSV.replace("44", "45").encode())
    assert as_seen_elsewhere(task).source.digest != known.digest
    with pytest.raises(DataError, match="has changed since the run was submitted"):
        made(tmp_path / "changed", known)


def flowers(source):
    return load_task("iris").model_copy(update={"source": source})


def test_a_digest_follows_the_file_and_a_place_stands_for_a_file_of_rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "beds.csv")
    task = with_source(load_task("iris"), "beds.csv")
    assert task.source.path == str(tmp_path / "beds.csv")
    assert isinstance(task.source, RowsSource)
    assert with_source(load_task("iris"), "beds.csv") == task
    assert as_seen_elsewhere(task) == task
    write(tmp_path / "beds.csv", CSV.replace("44", "45"))
    assert with_source(load_task("iris"), "beds.csv").source.digest != task.source.digest
    with pytest.raises(DataError, match="has changed since the run was submitted"):
        made(tmp_path / "out", task.source)
    assert with_source(load_task("iris"), "").source == load_task("iris").source


def test_iris_becomes_a_dataset_and_the_same_from_its_csv_file(tmp_path):
    from sklearn.datasets import load_iris

    task, bunch = load_task("iris"), load_iris()
    info = ingest(task.sources, task.labels, tmp_path / "out", task.seed, task.features)
    assert info.counts == {"all": dict.fromkeys(task.labels, 50)}
    assert info.origins == (Origin(kind="scikit-learn", name="iris", digest=""),)
    np.testing.assert_array_equal(rows(tmp_path / "out", "all"), bunch.data.astype(np.float32))
    lines = [",".join([*(feature.name for feature in task.features), "label"])]
    lines += [
        ",".join([*map(str, row), bunch.target_names[label]])
        for row, label in zip(bunch.data, bunch.target, strict=True)
    ]
    written = with_source(task, write(tmp_path / "iris.csv", "\n".join(lines)))
    again = ingest(written.sources, task.labels, tmp_path / "again", task.seed, task.features)
    assert again.digest == info.digest


@pytest.mark.parametrize(("name", "labels"), [("wine", 3), ("breast_cancer", 2)])
def test_other_datasets_of_scikit_learn_are_known(tmp_path, name, labels):
    from sklearn import datasets

    bunch = getattr(datasets, f"load_{name}")()
    features = tuple(Feature(name=f"f{number}") for number in range(len(bunch.feature_names)))
    columns = {f"f{number}": column for number, column in enumerate(bunch.feature_names)}
    classes = tuple(map(str, bunch.target_names))
    source = ScikitLearnSource(dataset=name, columns=columns)
    info = made(tmp_path / "out", source, labels=classes, features=features)
    assert len(info.labels) == labels
    np.testing.assert_array_equal(rows(tmp_path / "out", "all"), bunch.data.astype(np.float32))


def test_a_column_that_scikit_learn_does_not_have_is_told():
    with pytest.raises(DataError, match=r"iris has no column 'height'; it has sepal length \(cm\)"):
        ingest((ScikitLearnSource(dataset="iris"),), LABELS, None, 1, FEATURES)
