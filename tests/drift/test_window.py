from dataclasses import replace

import numpy as np
import pytest

from bonafide.drift.window import distinct, read_window, write_window
from bonafide.errors import DataError
from bonafide.feedback.window import Window
from tests.drift.world import window


def same(one: Window, other: Window) -> bool:
    pairs = [
        (one.ids, other.ids),
        (one.probabilities, other.probabilities),
        (one.embeddings, other.embeddings),
        (one.embedded, other.embedded),
        (one.statistics["brightness"], other.statistics["brightness"]),
    ]
    return one.names == other.names and all(np.array_equal(*pair) for pair in pairs)


def test_what_is_written_is_read_back(random, tmp_path):
    made = window(random, 20)
    write_window(tmp_path / "window.npz", made)
    assert same(read_window(tmp_path / "window.npz"), made)


def test_some_of_its_predictions_keep_their_own_embeddings(random):
    made = window(random, 6)
    embedded = np.array([True, False, True, True, False, True])
    part = replace(made, embedded=embedded, embeddings=made.embeddings[embedded]).of(np.array([3, 4, 0]))
    assert list(part.ids) == ["id-3", "id-4", "id-0"]
    assert list(part.embedded) == [True, False, True]
    assert np.array_equal(part.embeddings, made.embeddings[[3, 0]])


def test_a_picture_that_goes_round_counts_once(random):
    made = window(random, 30)
    again = made.of(np.array([*range(30), *[7] * 500, *range(30)]))
    assert same(distinct(again), made)


def test_an_empty_window_stays_empty(random, tmp_path):
    write_window(tmp_path / "window.npz", window(random, 0))
    assert len(distinct(read_window(tmp_path / "window.npz"))) == 0


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("labels", lambda values: values[:-1], "labels has 19 rows where ids has 20"),
        ("embeddings", lambda values: values[:-1], "20 predictions have one"),
        ("probabilities", lambda values: values[:, :2], "for 3 names"),
        ("statistics.brightness", lambda values: values[:5], "brightness has 5 rows"),
        ("versions", None, "it lacks versions"),
    ],
)
def test_arrays_that_do_not_fit_are_named(random, tmp_path, name, change, words):
    path = tmp_path / "window.npz"
    write_window(path, window(random, 20))
    with np.load(path) as given:
        arrays = dict(given)
    values = arrays.pop(name)
    if change:
        arrays[name] = change(values)
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=words):
        read_window(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(DataError, match="is not there"):
        read_window(tmp_path / "window.npz")
    for content in (b"", b"text", b"PK\x03\x04cut"):
        (tmp_path / "window.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"no \.npz file"):
            read_window(tmp_path / "window.npz")


def test_without_embeddings_statistics_tell_inputs_apart(random):
    made = replace(window(random, 30), embeddings=np.zeros((0, 6), np.float32), embedded=np.zeros(30, bool))
    alike = np.repeat(made.probabilities[:1], 30, axis=0)
    assert len(distinct(replace(made, probabilities=alike))) == 30
    same = {name: np.full(30, np.nan) for name in made.statistics}
    assert len(distinct(replace(made, probabilities=alike, statistics=same))) == 1


def test_the_last_digits_and_what_was_not_measured_do_not_make_another_picture(random):
    made = window(random, 1)
    other = {"brightness": np.array([np.nan]), "jpeg_quality": np.array([np.nan])}
    both = replace(
        made.of(np.array([0, 0])),
        embeddings=np.repeat(made.embeddings, 2, axis=0) + np.array([[0], [1e-7]], np.float32),
        statistics={name: np.concatenate([made.statistics[name], other[name]]) for name in other},
    )
    assert len(distinct(both)) == 1
