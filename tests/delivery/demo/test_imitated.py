import csv
import json
import math

import numpy as np

from bonafide.delivery.demo.imitated import _fitted, pictures, rows
from bonafide.task import load_task


def test_pictures_are_as_many_as_are_asked_for_and_differ(tmp_path):
    folder = pictures(load_task("authenticity"), tmp_path, 6)
    assert len({path.read_bytes() for path in folder.iterdir()}) == 6


def test_rows_are_near_those_of_the_task_and_within_its_ranges(tmp_path):
    task = load_task("iris")
    features = {each.name: each for each in task.features}
    with rows(task, tmp_path, 300).open() as stream:
        found = list(csv.DictReader(stream))
    assert len(found) == 300
    assert set(found[0]) == {*features, "label"}
    assert {row["label"] for row in found} == set(task.labels)
    assert len({tuple(row.values()) for row in found}) > 290
    for row in found:
        assert not any(features[name].problem(float(row[name])) for name in features)
    lengths = [float(row["petal_length"]) for row in found if row["label"] == "setosa"]
    assert math.isclose(sum(lengths) / len(lengths), 1.46, abs_tol=0.15)


def test_rounding_leaves_no_range_and_no_small_column_behind():
    features = [{"name": "a", "low": 0, "high": 1.23456}, {"name": "b"}, {"name": "c", "whole": True}]
    task = load_task("iris", [f"features={json.dumps(features)}"])
    fitted = _fitted(np.array([[1.2345599, 3.21456e-5, 2.7], [9, -4e-7, -1.2]]), task)
    assert fitted.tolist() == [[1.23456, 3.215e-5, 3.0], [1.23456, -4e-7, -1.0]]
