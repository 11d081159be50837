"""Every weighted measure against scikit-learn's, with the weights as ``sample_weight``."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn import metrics as sklearn

from bonafide.evaluation import statistics
from bonafide.evaluation.metrics import BINS
from bonafide.evaluation.statistics import rated, rates, values_of


@pytest.fixture(params=range(4))
def case(request, make_answers):
    seed = request.param
    found = make_answers(seed=seed, n=90, skill=seed / 2, decimals=seed % 2 or 9)
    weights = np.random.default_rng(seed).integers(0, 4, (5, 90)).astype(float)
    return *found, weights


def test_counts_give_the_measures_of_scikit_learn(case):
    truth, probabilities, weights = case
    predicted = probabilities.argmax(1)
    counts = statistics.confusion(weights, truth, predicted, 3)
    accuracy, balanced = statistics.accuracy(counts), statistics.balanced_accuracy(counts)
    scores = np.stack(statistics.by_label(counts))
    for row, weight in enumerate(weights):
        weighted = {"sample_weight": weight}
        assert counts[row] == pytest.approx(sklearn.confusion_matrix(truth, predicted, **weighted))
        assert accuracy[row] == pytest.approx(sklearn.accuracy_score(truth, predicted, **weighted))
        assert balanced[row] == pytest.approx(sklearn.balanced_accuracy_score(truth, predicted, **weighted))
        expected = sklearn.precision_recall_fscore_support(truth, predicted, zero_division=0, **weighted)
        assert scores[:, row] == pytest.approx(np.array(expected[:3]))


def test_ranking_is_that_of_scikit_learn_with_ties_and_absent_images(case):
    truth, probabilities, weights = case
    for label in range(3):
        scores, positive = probabilities[:, label], truth == label
        aurocs, precisions = statistics.ranking(weights, positive, scores)
        for auroc, precision, weight in zip(aurocs, precisions, weights, strict=True):
            assert auroc == pytest.approx(sklearn.roc_auc_score(positive, scores, sample_weight=weight))
            expected = sklearn.average_precision_score(positive, scores, sample_weight=weight)
            assert precision == pytest.approx(expected)


def test_ranking_without_positives_or_negatives_is_undefined():
    scores, weights = np.array([0.1, 0.9], np.float32), np.ones((1, 2))
    assert np.isnan(statistics.ranking(weights, np.array([True, True]), scores)[0]).all()
    assert np.isnan(statistics.ranking(weights, np.array([False, False]), scores)).all()


def test_a_label_never_answered_scores_0_and_an_absent_one_leaves_balanced_accuracy_alone():
    counts = statistics.confusion(np.ones((1, 4)), np.array([0, 0, 1, 1]), np.array([0, 0, 0, 0]), 3)
    precision, recall, f1 = statistics.by_label(counts)
    assert precision[0].tolist() == [0.5, 0, 0]
    assert recall[0].tolist() == [1, 0, 0]
    assert f1[0].tolist() == [pytest.approx(2 / 3), 0, 0]
    assert statistics.balanced_accuracy(counts)[0] == 0.5


TORCHMETRICS = """
import sys, numpy as np, torch
try:
    import torchvision
except RuntimeError:  # torchvision's operators were built for another torch
    for name in [name for name in sys.modules if name.startswith("torchvision")]:
        del sys.modules[name]
    operators = torch.library.Library("torchvision", "FRAGMENT")
    operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from torchmetrics.functional.classification import multiclass_calibration_error
stored = np.load(sys.argv[1])
for key in ("0", "1", "2"):
    probabilities, truth = (torch.from_numpy(stored[name + key]) for name in ("probabilities", "truth"))
    print(float(multiclass_calibration_error(probabilities, truth, num_classes=3, n_bins=15, norm="l1")))
"""


def test_calibration_error_is_that_of_torchmetrics(make_answers, tmp_path):
    cases = [make_answers(seed=seed, skill=seed) for seed in range(3)]
    stored = {
        f"{name}{key}": value for key, case in enumerate(cases) for name, value in case._asdict().items()
    }
    np.savez(tmp_path / "cases.npz", **stored)
    command = [sys.executable, "-c", TORCHMETRICS, str(tmp_path / "cases.npz")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for expected, (truth, probabilities) in zip(map(float, printed.split()), cases, strict=True):
        confidence = probabilities.max(1).astype(float)
        correct = probabilities.argmax(1) == truth
        once = np.ones((1, len(truth)))
        found = statistics.expected_calibration_error(once, confidence, correct, BINS)
        assert found[0] == pytest.approx(expected, abs=1e-5)


def test_bins_own_their_lower_edge_and_the_last_one_both():
    assert statistics.bins_of(np.array([0.0, 0.49, 0.5, 0.99, 1.0]), 2).tolist() == [0, 0, 1, 1, 1]


def test_shares_are_weighted_and_undefined_where_nothing_is_asked():
    truth, predicted = np.array([0, 1, 1, 2]), np.array([0, 1, 2, 0])
    slices = {"source": ["a", "a", None, "b"]}
    weights = np.array([[1, 1, 1, 1], [0, 1, 3, 0]], float)
    found = rated(weights, rates(truth, predicted, ("real", "ai", "deepfake"), slices))
    expected = {
        ("binary", "accuracy"): [0.75, 1],
        ("binary", "true_positive_rate"): [2 / 3, 1],
        ("binary", "false_positive_rate"): [0, np.nan],
        ("slice", "source", "a", "accuracy"): [1, 1],
        ("slice", "source", "b", "accuracy"): [0, np.nan],
        ("slice", "source", "a", "recall", "ai"): [1, 1],
        ("slice", "source", "b", "recall", "deepfake"): [0, np.nan],
    }
    for key, values in expected.items():
        assert found[key] == pytest.approx(values, nan_ok=True), key
    assert ("slice", "source", "b", "recall", "ai") not in found


def test_values():
    assert values_of(["b", None, "a", "b"]) == ["a", "b"]
