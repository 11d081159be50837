import asyncio
import csv
from collections import Counter
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bonafide.errors import ConfigError
from bonafide.traffic.drift import Drift
from bonafide.traffic.endpoint import Server, Service
from bonafide.traffic.rows import Rows, read_table
from bonafide.traffic.simulate import Plan, simulate
from tests import tables
from tests.serving.conftest import start

WIDE, LONG = {"width": 7.0, "length": 1.5, "weight": 0}, {"width": 1.0, "length": 9.5, "weight": 3}


@pytest.fixture
def path(tmp_path):
    """Three rows that are round and one that is long, as the model of tests.tables answers too."""
    found = tmp_path / "fruit.csv"
    with found.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*WIDE, "label"])
        writer.writeheader()
        writer.writerows([WIDE | {"label": "round"}] * 3 + [LONG | {"label": "long"}])
    return found


def labels(rows, passed=0.0, number=2000):
    random = Random(0)
    return Counter(rows.choose(random, passed).label for _ in range(number))


def test_rows_come_in_the_mix_of_the_file_or_in_another(path):
    assert labels(Rows(str(path), {}))["round"] == pytest.approx(1500, abs=100)
    assert labels(Rows(str(path), {"round": 0.2, "long": 0.8}))["round"] == pytest.approx(400, abs=100)
    drift = Drift("label-shift", mix={"long": 1})
    assert labels(Rows(str(path), {}, drift), passed=1) == {"long": 2000}


def test_a_column_is_shifted_as_far_as_the_time_has_passed(path):
    rows = Rows(str(path), {"round": 1}, Drift("shift", 0.5, shift={"length": 4.0}))
    for passed, length in ((0, 1.5), (0.5, 2.5), (1, 3.5)):
        sent = rows.sent(rows.choose(Random(0), passed))
        assert {name: values.tolist() for name, values in sent.items()} == {
            "width": [7.0],
            "length": [length],
            "weight": [0.0],
        }
        assert {values.dtype for values in sent.values()} == {np.dtype("float32")}


def test_parquet_is_read_alike(path, tmp_path):
    same = tmp_path / "fruit.parquet"
    table = pa.Table.from_pylist([WIDE | {"label": "round"}] * 3 + [LONG | {"label": "long"}])
    pq.write_table(table, same)
    one, other = read_table(path), read_table(same)
    assert one.labels == other.labels
    assert all(np.array_equal(one.columns[name], other.columns[name]) for name in WIDE)


@pytest.mark.parametrize(
    ("content", "drift", "why"),
    [
        ("a,b\n", Drift(), "has no row of numbers to ask about"),
        ("label\nx\n", Drift(), "has no row of numbers to ask about"),
        ("a,b\n1,2\n3,\n", Drift(), "row 1 has no number in 'b'"),
        ("a,a\n1,2\n", Drift(), "has two columns of one name"),
        ("a,label\n1,x\n", Drift("jpeg"), "--drift jpeg does not change rows; these do: label-shift, shift"),
        ("a,b\n1,x\n", Drift(), "'b' holds string; give numbers, and labels in 'label'"),
        ("a,label\n1,x\n", Drift("shift", shift={"b": 1}), "has no column 'b' to shift; it has a"),
        ("a,label\n1,x\n", Drift("label-shift", mix={"y": 1}), "no row of y; its labels are: x"),
        ("", Drift(), "cannot be read"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path, content, drift, why):
    (tmp_path / "rows.csv").write_text(content)
    with pytest.raises(ConfigError, match=why):
        Rows(str(tmp_path / "rows.csv"), {}, drift)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        Rows(str(tmp_path / "none.csv"), {})


@pytest.fixture(scope="module")
def server(fruit):
    running = start(fruit)
    yield running
    running.process.terminate()
    running.process.wait(30)


def test_a_server_answers_and_is_judged_by_the_labels(server, path):
    outcome = simulate(Server(server.url), Rows(str(path), {}), Plan(60, 1), lambda *_: None)
    assert outcome.requests > 30 and not outcome.failures
    assert outcome.labels == set(tables.LABELS)
    scores = {label: (score.right, score.answers) for label, score in outcome.scores.items()}
    assert set(scores) == {"round", "long"}
    assert all(right == answers for right, answers in scores.values())
    assert {row.path for row in outcome.rows} <= {"0", "1", "2", "3"}


def test_a_row_that_was_shifted_out_of_its_range_is_a_failure(server, path):
    drift = Drift("shift", shift={"width": 8.0})
    outcome = simulate(Server(server.url), Rows(str(path), {}, drift), Plan(60, 1), lambda *_: None)
    assert 0 < outcome.failures < outcome.requests
    assert set(outcome.reasons) == {"400"}


def test_labels_are_texts_and_may_be_missing(tmp_path):
    (tmp_path / "rows.csv").write_text("a,label\n1,01\n2,true\n3,\n")
    assert read_table(tmp_path / "rows.csv").labels == ["01", "true", ""]
    pq.write_table(pa.table({"a": [1, 2], "label": ["x", None]}), tmp_path / "rows.parquet")
    assert read_table(tmp_path / "rows.parquet").labels == ["x", ""]


def test_a_number_is_sent_as_it_was_written():
    """So that one on the bound of its range is within."""

    class Http:
        async def post(self, path, json):
            return json

    sent = asyncio.run(
        Service(Http()).send({"a": np.array([0.7], np.float32), "b": np.array([3], np.float32)})
    )
    assert sent == {"a": 0.7, "b": 3.0}
