import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from bonafide.errors import DataError, PackageError
from bonafide.evaluation.compare import (
    Comparison,
    compare,
    compare_answers,
    read_comparison,
)
from bonafide.evaluation.evaluate import read_measured, read_predictions
from bonafide.evaluation.gate import decide
from bonafide.task import Gate
from tests.conftest import SEED


@pytest.fixture
def compared(made, tmp_path):
    def with_champion(package, dataset=made.dataset, evaluation=made.evaluation):
        return compare(
            made.checkpoint,
            evaluation,
            dataset,
            ("7", package),
            made.keys / "signing.pub",
            tmp_path / "comparison",
            made.task.evaluation,
            SEED,
        )

    return with_champion


def test_a_first_model_has_nothing_to_be_compared_with(made):
    comparison = read_comparison(made.comparison)
    assert comparison.n == len(read_predictions(made.evaluation).truth)
    assert comparison.champion is None
    assert comparison.accuracy_difference is None


def test_a_champion_is_no_better_than_itself(made, compared, tmp_path):
    comparison = compared(made.package)
    assert comparison == read_comparison(tmp_path / "comparison")
    assert comparison.champion == "7"
    assert comparison.disagreement == 0
    for difference in (comparison.accuracy_difference, comparison.macro_f1_difference):
        assert (difference.low, difference.value, difference.high) == (0, 0, 0)


def test_both_graphs_are_timed_each_time(made, compared):
    first, second = compared(made.package), compared(made.package)
    for latency in (first.latency, first.champion_latency):
        assert 0 < latency.low <= latency.median <= latency.high
    assert first.latency != second.latency
    assert read_comparison(made.comparison).champion_latency is None


def test_an_evaluation_of_another_model_or_other_data_is_refused(made, compared, tmp_path):
    for name in ("model_digest", "data_digest"):
        folder = shutil.copytree(made.evaluation, tmp_path / name)
        content = json.loads((folder / "evaluation.json").read_text()) | {name: "0" * 64}
        (folder / "evaluation.json").write_text(json.dumps(content))
        with pytest.raises(DataError, match="evaluate again"):
            compared(made.package, evaluation=folder)


def test_a_champion_that_was_changed_is_not_loaded(made, compared, tmp_path):
    package = shutil.copytree(made.package, tmp_path / "package")
    with (package / "model.onnx").open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(PackageError, match="was changed after signing"):
        compared(package)
    assert not (tmp_path / "comparison").exists()


def test_a_champion_with_other_labels_is_not_compared_and_not_passed(made, compared, tmp_path):
    dataset = shutil.copytree(made.dataset, tmp_path / "dataset")
    info = json.loads((dataset / "dataset.json").read_text())
    info["labels"] = info["labels"][::-1]
    (dataset / "dataset.json").write_text(json.dumps(info))
    comparison = compared(made.package, dataset)
    assert comparison.champion == "7"
    assert comparison.accuracy_difference is None
    measured = read_measured(made.evaluation)
    verdict = decide(measured.metrics, comparison, made.task.gate, measured.robustness)
    assert not verdict.promote


def test_differences_are_challenger_minus_champion(make_answers):
    truth, challenger = make_answers(skill=2.0)
    champion = make_answers(seed=0, skill=1.0).probabilities
    found = compare_answers(truth, challenger, champion, "3", np.arange(240), samples=200, seed=0)
    new, old = challenger.argmax(1), champion.argmax(1)
    gained = accuracy_score(truth, new) - accuracy_score(truth, old)
    assert gained > 0
    assert found.accuracy_difference.value == pytest.approx(gained)
    gained = f1_score(truth, new, average="macro") - f1_score(truth, old, average="macro")
    assert found.macro_f1_difference.value == pytest.approx(gained)
    assert found.disagreement == pytest.approx(np.mean(new != old))
    assert (found.champion, found.n) == ("3", len(truth))


def test_a_model_against_itself_differs_by_nothing(make_answers):
    truth, probabilities = make_answers()
    found = compare_answers(truth, probabilities, probabilities, "1", np.arange(240), samples=100, seed=0)
    assert found.accuracy_difference.model_dump() == {"value": 0, "low": 0, "high": 0}
    assert found.disagreement == 0


def test_the_bootstrap_is_paired(make_answers):
    """One answer of 240 differs; unpaired resamples would spread by about 0.1."""
    truth, probabilities = make_answers()
    changed = probabilities.copy()
    right = int(np.flatnonzero(probabilities.argmax(1) == truth)[0])
    changed[right] = np.roll(probabilities[right], 1)
    difference = compare_answers(
        truth, changed, probabilities, "1", np.arange(240), 200, 0
    ).accuracy_difference
    assert difference.value == pytest.approx(-1 / 240)
    assert difference.high - difference.low < 0.04


def test_no_champion(make_answers):
    truth, probabilities = make_answers()
    assert compare_answers(truth, probabilities, None, None, np.arange(240), 100, 0) == Comparison(
        n=len(truth)
    )


def test_a_champion_with_other_labels_is_refused(make_answers):
    truth, probabilities = make_answers()
    with pytest.raises(DataError, match=r"\[240, 2\], expected \[240, 3\]"):
        compare_answers(truth, probabilities, probabilities[:, :2], "1", np.arange(240), 100, 0)


def test_the_bootstrap_is_over_groups(make_answers):
    """Copies of an image are one group: eight of each tell no more than one."""
    truth, champion = make_answers(n=90)
    challenger = make_answers(n=90, skill=1.0).probabilities
    eight = [np.repeat(each, 8, axis=0) for each in (truth, challenger, champion)]
    of_groups = compare_answers(*eight, "1", np.repeat(np.arange(90), 8), 400, 0).accuracy_difference
    of_copies = compare_answers(*eight, "1", np.arange(720), 400, 0).accuracy_difference
    once = compare_answers(truth, challenger, champion, "1", np.arange(90), 400, 0).accuracy_difference
    assert of_groups == once
    assert of_groups.high - of_groups.low > 2 * (of_copies.high - of_copies.low)


def test_another_model_with_the_same_labels_is_not_known_to_be_as_good(make_answers):
    truth, champion = make_answers()
    challenger = 0.9 * champion + 0.1 * np.eye(3, dtype=np.float32)[champion.argmax(1)]
    found = compare_answers(truth, challenger, champion, "1", np.arange(240) % 8, 100, 0)
    assert found.disagreement == 0
    assert found.accuracy_difference.low == pytest.approx(0.025 ** (1 / 240) - 1)


@settings(max_examples=60, deadline=None)
@given(
    images=st.integers(400, 1200),
    groups=st.integers(8, 30),
    wrong=st.lists(st.integers(0, 399), min_size=1, max_size=12, unique=True),
)
def test_more_wrong_answers_never_turn_a_refusal_into_a_promotion(images, groups, wrong):
    truth = np.arange(images) % 2
    champion = np.where(np.eye(2)[truth] == 1, 0.9, 0.1).astype(np.float32)
    challenger = np.where(np.eye(2)[truth] == 1, 0.8, 0.2).astype(np.float32)
    refused = False
    for image in [None, *wrong]:
        if image is not None:
            challenger[image] = challenger[image][::-1]
        found = compare_answers(truth, challenger, champion, "1", np.arange(images) % groups, 200, 0)
        passed = found.accuracy_difference.low >= -Gate().non_inferiority_margin
        assert not (refused and passed), f"one wrong answer more, image {image}, and the model is promoted"
        refused = not passed


def test_too_few_groups_leave_a_difference_without_an_interval(make_answers):
    truth, challenger = make_answers(skill=2.0)
    champion = make_answers(skill=1.0).probabilities
    found = compare_answers(truth, challenger, champion, "3", np.arange(240) % 4, 100, 0)
    assert found.accuracy_difference.ends is None
    assert found.accuracy_difference.value > 0
