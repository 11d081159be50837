import csv
import hashlib
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from bonafide.data import dataset
from bonafide.data.dataset import ALL
from bonafide.data.table import REFUSED, build_table
from bonafide.errors import DataError
from bonafide.features import Feature
from tests.data.flowers import FEATURES, LABELS, raw_rows


def with_cells(count, *cells):
    """Rows of which some columns have other values: (row, column, value)."""
    rows = raw_rows(count)
    for row, column, value in cells:
        (rows.about if column in rows.about else rows.columns).at[row, column] = value
    return rows


def test_rows_are_numbers_in_the_order_of_the_features(tmp_path):
    rows = raw_rows(20)
    reversed_columns = replace(rows, columns=rows.columns[["petals", "height"]])
    info = build_table([reversed_columns], LABELS, FEATURES, tmp_path / "out", seed=3)
    assert info == dataset.read_info(tmp_path / "out")
    assert (info.modality, info.features, info.seed) == ("table", FEATURES, 3)
    assert info.counts == {ALL: {"rose": 10, "tulip": 10}}
    numbers = dataset.rows(tmp_path / "out", ALL)
    assert numbers.dtype == np.float32
    np.testing.assert_array_equal(numbers, rows.columns.astype(np.float32))
    table = dataset.read(tmp_path / "out", ALL).to_pylist()
    assert [row["label"] for row in table[:3]] == [0, 1, 0]
    for row, values in zip(table, numbers, strict=True):
        assert row["row"] == dict(zip(("height", "petals"), values.tolist(), strict=True))
        assert row["sha256"] == row["group"] == hashlib.sha256(values.astype("<f4").tobytes()).hexdigest()
    assert dataset.paths(tmp_path / "out", ALL) == [f"bed.csv#{number}" for number in range(20)]


@pytest.mark.parametrize(
    ("column", "value", "reason", "message"),
    [
        ("height", None, "missing", "height is missing"),
        ("height", "tall", "wrong-type", "height must be a number, got 'tall'"),
        ("height", "3,5", "wrong-type", "height must be a number, got '3,5'"),
        ("height", "0.5", "out-of-range", "height must be 1 or more, got 0.5"),
        ("height", 201, "out-of-range", "height must be 200 or less, got 201"),
        ("height", "inf", "out-of-range", "height must be a finite number"),
        ("petals", 1e39, "out-of-range", "petals must fit into 32 bits"),
        ("petals", 4.5, "out-of-range", "petals must be a whole number, got 4.5"),
        ("label_name", None, "missing", "the label is missing"),
    ],
)
def test_a_row_that_does_not_fit_is_quarantined_with_its_reason(tmp_path, column, value, reason, message):
    info = build_table([with_cells(20, (7, column, value))], LABELS, FEATURES, tmp_path / "out")
    [refused] = info.quarantined
    assert (refused.path, refused.reason, refused.message) == ("bed.csv#7", reason, message)
    assert sum(info.counts[ALL].values()) == 19
    assert "bed.csv#7" not in dataset.paths(tmp_path / "out", ALL)
    with (tmp_path / "out" / REFUSED).open() as stream:
        [row] = csv.DictReader(stream)
    assert row["message"] == message
    assert row[column] == ("" if value is None else str(value))


def test_all_that_is_wrong_with_a_row_is_told(tmp_path):
    rows = with_cells(20, (3, "petals", 2.5), (3, "height", None), (1, "height", "x"))
    first, second = build_table([rows], LABELS, FEATURES, tmp_path / "out").quarantined
    assert (first.path, second.path) == ("bed.csv#1", "bed.csv#3")
    assert second.reason == "missing"
    assert second.message == "height is missing; petals must be 3 or more, got 2.5"


def test_a_sound_table_has_no_quarantine(tmp_path):
    assert build_table([raw_rows(20)], LABELS, FEATURES, tmp_path / "out").quarantined == ()
    assert not (tmp_path / "out" / REFUSED).parent.exists()


def test_numbers_may_be_texts_and_several_sources_become_one(tmp_path):
    texts = raw_rows(20)
    texts = replace(texts, columns=texts.columns.map(str))
    alone = build_table([raw_rows(20)], LABELS, FEATURES, tmp_path / "alone")
    assert build_table([texts], LABELS, FEATURES, tmp_path / "texts").digest == alone.digest
    both = build_table([raw_rows(20), texts], LABELS, FEATURES, tmp_path / "both")
    assert both.sources == {"bed": 40}
    np.testing.assert_array_equal(*np.split(dataset.rows(tmp_path / "both", ALL), 2))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (with_cells(20, *((row, "height", 0) for row in range(20))), "no usable row; refused: 20 out-of"),
        (with_cells(20, *((row, "height", 0) for row in range(0, 20, 2))), "all 10 usable rows are 'tulip'"),
        (with_cells(20, (4, "label_name", "daisy")), r"bed.csv#4: label 'daisy' is not among .*known: daisy"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_and_leaves_nothing(tmp_path, rows, message):
    with pytest.raises(DataError, match=message):
        build_table([rows], LABELS, FEATURES, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_columns_may_be_named_as_what_is_told_about_rows(tmp_path):
    rows = raw_rows(20)
    names = {"height": "path", "petals": "group"}
    features = (Feature(name="path"), Feature(name="group"))
    found = replace(rows, columns=rows.columns.rename(columns=names))
    build_table([found], LABELS, features, tmp_path / "out")
    np.testing.assert_array_equal(
        dataset.rows(tmp_path / "out", ALL), rows.columns.astype(np.float32).to_numpy()
    )
    assert dataset.paths(tmp_path / "out", ALL)[0] == "bed.csv#0"


def test_the_same_rows_give_the_same_bytes(tmp_path):
    made = []
    for name in ("first", "second"):
        build_table([with_cells(50, (3, "height", "x"))], LABELS, FEATURES, tmp_path / name, seed=1)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        made.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files})
    assert made[0] == made[1]
    assert len(made[0]) == 3


def test_shards_of_rows_are_cut_and_compressed_as_those_of_images(tmp_path):
    build_table([raw_rows(3000)], LABELS, FEATURES, tmp_path / "out")
    [shard] = dataset.shards(tmp_path / "out", ALL)
    meta = pq.read_metadata(shard)
    assert max(meta.row_group(index).num_rows for index in range(meta.num_row_groups)) <= 1024
    group = meta.row_group(0)
    assert {group.column(index).compression for index in range(group.num_columns)} == {"ZSTD"}


def test_a_value_on_its_bound_is_sound_as_a_model_sees_it(tmp_path):
    """Feedback brings it back with 32 bits."""
    features = (Feature(name="height", low=0.7, high=0.9), Feature(name="petals"))
    rows = raw_rows(20)
    rows.columns["height"] = [float(np.float32(0.7)), float(np.float32(0.9))] * 10
    assert build_table([rows], LABELS, features, tmp_path / "out").quarantined == ()
