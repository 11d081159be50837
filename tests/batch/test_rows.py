"""Rows of a file become a table of answers; those that do not fit have their reason."""

import csv

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bonafide.batch import rows as scored_rows
from bonafide.batch import run
from bonafide.errors import BonafideError
from bonafide.serving.compute.engine import Engine
from tests import tables
from tests.batch.conftest import rows
from tests.batch.test_cli import batch, killed

FITTING = [[5.1, 3.5, 2], [1, 9.25, 0], [7.9, 0.1, 10]]


@pytest.fixture
def score(fruit, tmp_path, monkeypatch):
    """Score into ``scores.csv``, or what is named, in parts of 16."""
    monkeypatch.setattr(run, "PART", 16)
    engine = Engine(fruit.path, fruit.public_key, threads=1)

    def call(where, name="scores.csv", **options) -> run.Summary:
        given = {"kind": name.rpartition(".")[2], "workspace": tmp_path / f".{name}.partial"}
        return run.score(str(where), tmp_path / name, engine, "7", **given, **options)

    return call


def write(path, header, *given):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *given])
    return path


def many(path, count):
    seeded = np.random.default_rng(0)
    columns = (seeded.uniform(0, 7.9, count), seeded.uniform(0.1, 10, count), np.arange(count))
    return write(path, tables.NAMES, *zip(*columns, strict=True))


def shares(row: dict) -> list[float]:
    return [row[f"probability_{label}"] for label in tables.LABELS]


@pytest.mark.parametrize("output", ["scores.csv", "scores.parquet"])
def test_each_row_has_its_answer(score, tmp_path, output):
    """Columns of other names are passed over, and the order of the columns does not matter."""
    given = [(weight, "a\nnote", length, width) for width, length, weight in FITTING]
    summary = score(write(tmp_path / "rows.csv", ("weight", "note", "length", "width"), *given), output)
    assert summary.counts() == {"rows": 3, "scored": 3, "failed": 0}
    found = rows(tmp_path / output)
    assert [row["row"] for row in found] == [0, 1, 2]
    assert [row["label"] for row in found] == ["round", "long", "heavy"]
    np.testing.assert_allclose([shares(row) for row in found], tables.probabilities(FITTING), rtol=1e-5)
    assert [row["confidence"] for row in found] == pytest.approx([max(shares(row)) for row in found])


def test_a_row_that_does_not_fit_has_its_reason_and_costs_no_other(score, tmp_path):
    given = {
        (5.1, 3.5, 2): None,
        (8, 3.5, 2): "width: must be 7.9 or less, got 8",
        (5.1, "wide", 2): "length: must be a number, got 'wide'",
        (5.1, "", 2): "length: is missing",
        (5.1, 3.5, 0.5): "weight: must be a whole number, got 0.5",
        ("nan", 3.5, 2): "width: must be a number, got 'nan'",
        (5.1, 3.5, "1e99"): "weight: must be a finite number",
        (5.1, " 3.5", 2): "length: must be a number, got ' 3.5'",
        (1, 9.25, "2e0"): None,
    }
    summary = score(write(tmp_path / "rows.csv", tables.NAMES, *given))
    found = rows(tmp_path / "scores.csv")
    assert [row["error"] for row in found] == [*given.values()]
    assert [row["label"] for row in found if not row["error"]] == ["round", "long"]
    assert [row["label"] for row in found if row["error"]] == [None] * 7
    assert (summary.scored, summary.failed) == (2, {"width": 2, "length": 3, "weight": 2})


def test_parquet_s_numbers_are_read_as_they_are(score, tmp_path):
    columns = {
        "weight": pa.array([2, None, 3], pa.int32()),
        "width": pa.array([5.1, 1, float("nan")], pa.float32()),
        "length": pa.array([3.5, 9.25, 1], pa.float64()),
    }
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    score(tmp_path / "rows.parquet")
    found = rows(tmp_path / "scores.csv")
    assert [row["error"] for row in found] == [None, "weight: is missing", "width: must be a finite number"]
    assert shares(found[0]) == pytest.approx(tables.probabilities(FITTING)[0].tolist(), rel=1e-5)


def test_what_cannot_be_read_is_told(score, tmp_path):
    texts = pa.table({"width": ["5"], "length": [1.0], "weight": [1]})
    pq.write_table(texts, tmp_path / "texts.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    (tmp_path / "ragged.csv").write_text("width,length,weight\n1,2\n")
    for path, message in (
        (
            tmp_path / "absent.csv",
            "is no file; give a .csv or .parquet file with the columns width, length, ",
        ),
        (tmp_path, "is no file"),
        (write(tmp_path / "empty.csv", tables.NAMES), "has no row"),
        (write(tmp_path / "less.csv", tables.NAMES[:2], [1, 2]), "cannot be read: .*weight"),
        (tmp_path / "texts.parquet", "width holds string, no numbers"),
        (tmp_path / "broken.parquet", "cannot be read"),
        (tmp_path / "ragged.csv", "cannot be read: .*Expected 3 columns, got 2"),
    ):
        with pytest.raises(BonafideError, match=message):
            score(path)
    assert not list(tmp_path.glob("scores*"))


def test_blocks_answer_as_a_whole_does(score, tmp_path, monkeypatch):
    path = many(tmp_path / "rows.csv", 100)
    score(path)
    monkeypatch.setattr(scored_rows, "BLOCK", 7)
    score(path, "blocks.csv")
    whole, blocks = (rows(tmp_path / name) for name in ("scores.csv", "blocks.csv"))
    np.testing.assert_allclose([shares(row) for row in blocks], [shares(row) for row in whole], rtol=1e-6)
    assert [row["row"] for row in blocks] == [*range(100)]


def test_the_command_and_the_same_command_again_after_a_sigkill(fruit, tmp_path):
    path = many(tmp_path / "rows.csv", 2_000)
    told = batch(fruit, path, tmp_path / "whole.csv", part=40)
    assert "rows/s" in told
    killed(fruit, path, tmp_path / "scores.csv", parts=5, part=40)
    assert "of these by an earlier run" in batch(fruit, path, tmp_path / "scores.csv", part=40)
    assert (tmp_path / "scores.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_another_file_is_not_gone_on_with(fruit, tmp_path):
    path = many(tmp_path / "rows.csv", 2_000)
    killed(fruit, path, tmp_path / "scores.csv", parts=5, part=40)
    many(path, 1_999)
    assert "unfinished run with other rows" in batch(fruit, path, tmp_path / "scores.csv", part=40, code=2)


def test_an_empty_line_of_one_column_is_a_row(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a\n1\n\n3\n")
    assert [block.column(0).to_pylist() for block in scored_rows._blocks(path, ["a"])] == [["1", "", "3"]]


@pytest.mark.parametrize("more", [20, -20])
def test_a_file_that_changes_meanwhile_is_told(score, tmp_path, monkeypatch, more):
    path = many(tmp_path / "rows.csv", 40)
    real = run._score_parts

    def changing(inputs, *given):
        many(path, 40 + more)
        real(inputs, *given)

    monkeypatch.setattr(run, "_score_parts", changing)
    with pytest.raises(BonafideError, match="run again"):
        score(path)
    assert not (tmp_path / "scores.csv").exists()
    monkeypatch.setattr(run, "_score_parts", real)
    many(path, 40)
    assert score(path).resumed == 0


def test_what_is_scored_is_not_replaced_by_its_answers(score, tmp_path):
    path = many(tmp_path / "scores.csv", 3)
    with pytest.raises(BonafideError, match="is what is scored"):
        score(path, overwrite=True)
    assert len(path.read_text().splitlines()) == 4
