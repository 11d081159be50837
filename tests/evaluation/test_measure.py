import json
import math

import numpy as np
import pytest
from sklearn import metrics as sklearn

from bonafide.errors import DataError
from bonafide.evaluation.measure import check_predictions, measure, measure_certainty
from bonafide.evaluation.metrics import Metrics
from bonafide.model.decision import Decision, decide

LABELS = ("real", "ai-generated", "deepfake")


def each_its_own(truth):
    return np.arange(len(truth))


def test_values_are_those_of_scikit_learn(make_answers):
    truth, probabilities = make_answers()
    found = measure(truth, probabilities, LABELS, each_its_own(truth), samples=100, seed=0)
    predicted, macro = probabilities.argmax(1), {"average": "macro", "zero_division": 0}
    one_hot = np.eye(3)[truth]
    expected = {
        "accuracy": sklearn.accuracy_score(truth, predicted),
        "balanced_accuracy": sklearn.balanced_accuracy_score(truth, predicted),
        "macro_precision": sklearn.precision_score(truth, predicted, **macro),
        "macro_recall": sklearn.recall_score(truth, predicted, **macro),
        "macro_f1": sklearn.f1_score(truth, predicted, **macro),
        "auroc": sklearn.roc_auc_score(truth, probabilities, multi_class="ovr"),
        "average_precision": sklearn.average_precision_score(one_hot, probabilities, average="macro"),
    }
    assert {name: getattr(found, name).value for name in expected} == pytest.approx(expected)
    assert found.confusion == tuple(map(tuple, sklearn.confusion_matrix(truth, predicted).tolist()))
    for name in expected:
        interval = getattr(found, name)
        assert interval.low < interval.value < interval.high


def test_binary_is_the_first_label_against_the_rest(make_answers):
    truth, probabilities = make_answers()
    binary = measure(truth, probabilities, LABELS, each_its_own(truth), samples=100, seed=0).binary
    fake, called = truth != 0, probabilities.argmax(1) != 0
    assert binary.negative == "real"
    assert binary.accuracy.value == pytest.approx(np.mean(fake == called))
    assert binary.auroc.value == pytest.approx(sklearn.roc_auc_score(fake, -probabilities[:, 0]))
    assert binary.true_positive_rate.value == pytest.approx(called[fake].mean())
    assert binary.false_positive_rate.value == pytest.approx(called[~fake].mean())


def test_slices_hold_their_images_only(make_answers):
    truth, probabilities = make_answers()
    names = np.array([None, "a", "b"], dtype=object)[np.arange(len(truth)) % 3]
    found = measure(
        truth, probabilities, LABELS, each_its_own(truth), 100, 0, {"generator": list(names)}
    ).slices["generator"]
    correct = probabilities.argmax(1) == truth
    assert list(found) == ["a", "b"]
    for value, each in found.items():
        within = names == value
        assert each.n == within.sum()
        assert each.accuracy.value == pytest.approx(correct[within].mean())
        deepfake = within & (truth == 2)
        assert each.recall["deepfake"].value == pytest.approx(correct[deepfake].mean())


def test_a_slice_reports_only_the_labels_it_holds():
    truth, probabilities = np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]], np.float32)
    found = measure(truth, probabilities, ("real", "fake"), truth, 100, 0, {"generator": [None, "g"]})
    assert list(found.slices["generator"]["g"].recall) == ["fake"]
    assert found.slices["generator"]["g"].accuracy.value == 0


def test_reliability_counts_every_image_and_adds_up_to_the_calibration_error(measured):
    assert sum(each.n for each in measured.reliability) == measured.n
    gap = sum(each.n * abs(each.accuracy - each.confidence) for each in measured.reliability if each.n)
    assert gap / measured.n == pytest.approx(measured.ece.value)


def test_baseline_and_confident_errors():
    truth = np.array([1, 1, 1, 0])
    probabilities = np.array([[0.95, 0.05], [0.6, 0.4], [0.1, 0.9], [0.9, 0.1]], np.float32)
    found = measure(truth, probabilities, ("real", "fake"), each_its_own(truth), 100, 0)
    assert (found.baseline.label, found.baseline.accuracy) == ("fake", 0.75)
    assert found.confident_errors == 1


def test_json_without_nan_and_back(measured):
    text = measured.model_dump_json()
    assert Metrics.model_validate_json(text).model_dump() == measured.model_dump()
    json.dumps(measured.model_dump(mode="json"), allow_nan=False)
    assert any(math.isnan(each.accuracy) for each in measured.reliability)


def test_a_test_set_of_one_label_has_no_auroc_and_a_low_macro_f1():
    probabilities = np.tile(np.array([0.1, 0.8, 0.1], np.float32), (5, 1))
    found = measure(np.ones(5, np.int64), probabilities, LABELS, np.arange(5), 100, 0)
    assert math.isnan(found.auroc.value)
    assert found.macro_f1.value == pytest.approx(1 / 3)
    assert found.labels["real"].support == 0


def test_predictions_are_checked():
    with pytest.raises(DataError, match="no answers"):
        measure(
            np.empty(0, np.int64), np.empty((0, 2), np.float32), ("a", "b"), np.empty(0, np.int64), 100, 0
        )


def test_a_column_of_another_length():
    truth, probabilities = np.array([0, 1]), np.eye(2, dtype=np.float32)
    with pytest.raises(DataError, match="'source' has 1 values for 2 answers"):
        measure(truth, probabilities, ("a", "b"), truth, 100, 0, {"source": ["x"]})
    with pytest.raises(DataError, match="'group' has 3 values for 2 answers"):
        measure(truth, probabilities, ("a", "b"), np.arange(3), 100, 0)


def few_deepfakes(make_answers):
    """240 images in 40 groups; the deepfakes stand in 3 of them."""
    truth, probabilities = make_answers()
    groups = np.arange(240) % 40
    groups[truth == 2] %= 3
    source = [("one" if group == 5 else "many") for group in groups]
    return measure(truth, probabilities, LABELS, groups, 100, 0, {"source": source})


def test_each_measure_rests_on_its_own_groups(make_answers):
    found = few_deepfakes(make_answers)
    assert found.groups == 40
    assert found.labels["deepfake"].groups == 3
    assert found.labels["real"].groups > 30
    assert found.slices["source"]["one"].groups == 1


def test_what_rests_on_too_few_groups_has_no_interval(make_answers):
    found = few_deepfakes(make_answers)
    without = (
        found.labels["deepfake"].recall,
        found.labels["deepfake"].f1,
        found.macro_recall,
        found.macro_f1,
        found.balanced_accuracy,
        found.auroc,
        found.average_precision,
        found.slices["source"]["one"].accuracy,
        found.slices["source"]["many"].recall["deepfake"],
    )
    assert all(each.ends is None and each.value > 0 for each in without)
    assert all(
        each.ends for each in (found.accuracy, found.ece, found.labels["real"].recall, found.binary.auroc)
    )


def test_groups_that_are_alike_widen_every_interval(make_answers):
    """Each image eight times: resampling copies shows an eighth of the variance that is there."""
    truth, probabilities = (np.repeat(each, 8, axis=0) for each in make_answers(n=90))
    copies = measure(truth, probabilities, LABELS, each_its_own(truth), 400, 0)
    origins = measure(truth, probabilities, LABELS, np.repeat(np.arange(90), 8), 400, 0)
    for name in ("accuracy", "macro_f1", "auroc", "average_precision", "ece"):
        narrow, wide = getattr(copies, name), getattr(origins, name)
        assert narrow.value == wide.value
        assert wide.high - wide.low > 2 * (narrow.high - narrow.low), name


def test_a_model_without_an_error_is_not_known_to_be_perfect():
    truth = np.tile([0, 1], 40)
    found = measure(truth, np.eye(2, dtype=np.float32)[truth], ("a", "b"), np.arange(80) // 8, 100, 0)
    for perfect in (found.accuracy, found.macro_f1, found.auroc, found.average_precision):
        assert (perfect.value, perfect.high) == (1, 1)
        assert perfect.low == pytest.approx(0.025 ** (1 / 10))


def test_good_predictions_pass(make_answers):
    check_predictions(*make_answers(), 3)


@pytest.mark.parametrize(
    ("truth", "probabilities", "says"),
    [
        ([], np.empty((0, 2)), "no answers"),
        ([0, 1], np.ones((2, 3)), r"\[2, 3\], expected \[2, 2\]"),
        ([0, 2], np.ones((2, 2)), "run from 0 to 2"),
        ([-1, 1], np.ones((2, 2)), "run from -1"),
        ([0, 1], np.array([[0.5, 0.5], [np.nan, 0.5]]), "of 1 of 2 answers are not finite"),
    ],
)
def test_predictions_that_cannot_be_measured(truth, probabilities, says):
    with pytest.raises(DataError, match=says):
        check_predictions(np.array(truth, np.int64), probabilities.astype(np.float32), 2)


def test_uncertain_answers_and_the_accuracy_of_the_others():
    shares = np.array([[0.6, 0.4], [0.9, 0.1], [0.3, 0.7], [0.05, 0.95]] * 10, np.float32)
    truth = np.array([1, 0, 0, 1] * 10)
    decided = decide(shares, ("a", "b"), Decision(thresholds={"a": 0.8, "b": 0.5}))
    found = measure_certainty(truth, decided, np.arange(40), 100, 0)
    assert found.uncertain.value == 0.25
    assert found.accuracy_of_certain.value == pytest.approx(2 / 3)
    assert found.uncertain.low < 0.25 < found.uncertain.high


def test_one_wrong_image_does_not_make_shares_sure():
    """Twelve groups of 60 images, one of them wrong: whether groups fail whole, nobody can tell."""
    truth, groups = np.arange(720) % 2, np.arange(720) // 60
    probabilities = np.eye(2, dtype=np.float32)[truth]
    probabilities[0] = probabilities[0][::-1]
    metrics = measure(truth, probabilities, ("a", "b"), groups, 100, 0, {"source": ["one"] * 720})
    one = metrics.slices["source"]["one"]
    for share in (
        metrics.accuracy,
        metrics.macro_f1,
        metrics.macro_recall,
        metrics.macro_precision,
        metrics.balanced_accuracy,
        metrics.labels["a"].recall,
        metrics.labels["a"].f1,
        metrics.labels["b"].precision,
        metrics.binary.accuracy,
        metrics.binary.false_positive_rate,
        one.accuracy,
        one.recall["a"],
    ):
        assert share.high - share.low > 0.2
    assert metrics.effective_groups == metrics.labels["a"].effective_groups == one.effective_groups == 12
