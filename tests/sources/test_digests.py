"""What caching follows beside sources: the file that training begins from."""

import hashlib

import pytest

from bonafide.errors import DataError
from bonafide.monitoring.learn import with_feedback
from bonafide.sources.digests import with_source, with_weights
from bonafide.task import load_task


def test_the_digest_of_a_file_of_weights_follows_its_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = load_task("authenticity", ["model.weights=begin.pth"])
    for content in (b"one", b"another"):
        (tmp_path / "begin.pth").write_bytes(content)
        known = with_source(task, "")
        assert known.model.weights == str(tmp_path / "begin.pth")
        assert known.model.weights_digest == hashlib.sha256(content).hexdigest()
        assert with_weights(task) == with_weights(known) == known


@pytest.mark.parametrize("name", ["authenticity", "iris"])
def test_without_a_file_nothing_changes(name):
    assert with_source(load_task(name), "") == load_task(name)


def test_a_file_that_is_not_there_is_named(tmp_path):
    task = load_task("authenticity", [f"model.weights={tmp_path}/begin.pth"])
    with pytest.raises(DataError, match=r"model.weights: cannot read .*begin.pth: No such file.*; name"):
        with_weights(task)


def test_a_place_that_is_given_has_the_labels_that_the_task_says(tmp_path):
    (tmp_path / "Cat").mkdir()
    (tmp_path / "Cat" / "a.jpg").write_bytes(b"x")
    for name in ("cats-vs-dogs", "domain"):
        task = load_task(name)
        given, own = with_source(task, str(tmp_path)).source, task.sources[0]
        assert given.path == str(tmp_path)
        assert (given.labels, given.label_from) == (own.labels, own.label_from)


def test_a_file_that_is_given_has_the_columns_of_the_task_s_own_file(tmp_path):
    (tmp_path / "new.csv").write_text("x")
    own = {"kind": "rows", "path": "old.csv", "columns": {"petal_width": "Width"}, "label": "species"}
    task = load_task("iris", [f"source={own}"])
    given = with_source(task, str(tmp_path / "new.csv")).source
    assert (given.path, given.columns, given.label) == (str(tmp_path / "new.csv"), own["columns"], "species")
    assert with_source(load_task("iris"), str(tmp_path / "new.csv")).source.columns == {}


def test_what_training_would_learn_is_known_without_the_weights():
    """The step that decides may run where they are not."""
    task = load_task("authenticity", ["model.weights=/nowhere/begin.safetensors"])
    assert with_feedback(task, None) == task.sources
