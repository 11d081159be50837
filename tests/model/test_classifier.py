from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from sklearn.datasets import load_iris

from bonafide.model.classifier import fitted, to_onnx
from bonafide.task import ESTIMATORS, Estimator

COLUMNS, TRUTH = load_iris(return_X_y=True)
COLUMNS = COLUMNS.astype(np.float32)


def make(architecture: str, labels: int = 3, **values):
    config = Estimator(**{"architecture": architecture, "n_estimators": 20} | values)
    return fitted(config, COLUMNS, np.minimum(TRUTH, labels - 1), 0)


def served(classifier, path: Path, columns: np.ndarray) -> dict[str, np.ndarray]:
    to_onnx(classifier, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_outputs()]
    return dict(zip(names, session.run(names, {"columns": columns}), strict=True))


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("architecture", ESTIMATORS)
def test_the_graph_answers_as_the_estimator_does(architecture, labels, tmp_path):
    classifier = make(architecture, labels)
    strange = np.random.default_rng(0).normal(0, 20, (500, 4)).astype(np.float32)
    for columns in (COLUMNS, strange, COLUMNS[:1]):
        answered, expected = served(classifier, tmp_path / "model.onnx", columns), classifier.answers(columns)
        assert set(answered) == set(expected)
        for name, values in expected.items():
            assert answered[name].dtype == values.dtype == np.float32
            np.testing.assert_allclose(answered[name], values, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("architecture", ["random_forest", "gradient_boosting"])
def test_a_value_at_a_tree_s_threshold_goes_the_same_way(architecture, tmp_path):
    """There a rounded threshold would send it down the other branch."""
    classifier = make(architecture)
    trees = [tree.tree_ for tree in np.ravel(classifier.estimator.estimators_)]
    splits = {(i, t) for tree in trees for i, t in zip(tree.feature, tree.threshold, strict=True) if i >= 0}
    rows = []
    for column, threshold in splits:
        at = np.float32(threshold)
        for value in (at, np.nextafter(at, np.float32(-np.inf)), np.nextafter(at, np.float32(np.inf))):
            row = COLUMNS[len(rows) % len(COLUMNS)].copy()
            row[column] = value
            rows.append(row)
    rows = np.array(rows)
    answered, expected = served(classifier, tmp_path / "model.onnx", rows), classifier.answers(rows)
    np.testing.assert_allclose(answered["probabilities"], expected["probabilities"], atol=1e-5)


def test_what_a_forest_calls_impossible_stays_a_number(tmp_path):
    classifier = make("random_forest")
    assert (classifier.estimator.predict_proba(COLUMNS) == 0).any()
    probabilities = served(classifier, tmp_path / "model.onnx", COLUMNS)["probabilities"]
    assert np.isfinite(np.log(probabilities)).all()
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_parameters_are_weights_or_nodes(tmp_path):
    assert make("logistic_regression").parameters == 3 * (4 + 1)
    stumps = make("gradient_boosting", n_estimators=5, max_depth=1)
    assert stumps.parameters == 5 * 3 * 3
    assert make("random_forest", n_estimators=4, max_depth=1).parameters == 4 * 3


def test_the_settings_reach_the_estimator():
    assert make("logistic_regression", c=0.25).estimator.C == 0.25
    boosting = make("gradient_boosting", n_estimators=3, learning_rate=0.5, max_depth=2).estimator
    assert (boosting.n_estimators, boosting.learning_rate, boosting.max_depth) == (3, 0.5, 2)
    assert make("random_forest").estimator.max_depth is None
    assert make("gradient_boosting").estimator.max_depth == 3


@pytest.mark.parametrize("architecture", ESTIMATORS)
def test_equal_fits_give_equal_bytes_that_tell_no_place(architecture, tmp_path):
    for name in ("one", "other"):
        to_onnx(make(architecture), tmp_path / name)
    content = (tmp_path / "one").read_bytes()
    assert content == (tmp_path / "other").read_bytes()
    for place in (*map(str, (Path.home(), Path.cwd(), tmp_path)), "site-packages", ".py"):
        assert place.encode() not in content, place
