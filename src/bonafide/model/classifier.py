"""Estimators of scikit-learn, and all that must travel with them into the served graph."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide.files import write_bytes
from bonafide.model.answers import Answers
from bonafide.task import Estimator

FLOOR = 1e-6  # a forest may say 0, whose logarithm no temperature can divide
FARTHEST = 1e6  # standard deviations; beyond it numbers would become infinite
ITERATIONS = 10_000
OPSETS = {"": 20, "ai.onnx.ml": 3}
IR_VERSION = 10


@dataclass(frozen=True)
class Classifier:
    """A fitted estimator with its calibration.

    ``mean`` and ``scale`` float32 [C] standardise a row, which is its embedding. ``standardised`` says that
    the estimator takes that in the row's place.
    """

    estimator: Any
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    standardised: bool
    temperature: float = 1.0

    def embedding(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Columns float32 [N, C] standardised, in the graph's own arithmetic."""
        with np.errstate(over="ignore"):
            return ((columns - self.mean) / self.scale).clip(-FARTHEST, FARTHEST)

    def logits(self, columns: NDArray[np.float32]) -> NDArray[np.float32]:
        """Uncalibrated class scores float32 [N, K] of ``columns`` float32 [N, C]: logarithms."""
        taken = self.embedding(columns) if self.standardised else columns
        shares = self.estimator.predict_proba(taken.astype(np.float64))
        scores: NDArray[np.float32] = np.log(shares.clip(FLOOR, 1)).astype(np.float32)
        return scores

    def answers(self, columns: NDArray[np.float32]) -> Answers:
        """Probabilities float32 [N, K] and embedding float32 [N, C], as the graph gives them."""
        from scipy.special import softmax

        return {
            "probabilities": softmax(self.logits(columns) / np.float32(self.temperature), axis=1),
            "embedding": self.embedding(columns),
        }

    @property
    def parameters(self) -> int:
        """Weights, or the nodes of trees."""
        fitted = self.estimator
        if hasattr(fitted, "coef_"):
            return int(fitted.coef_.size + fitted.intercept_.size)
        return sum(tree.tree_.node_count for tree in np.ravel(fitted.estimators_))


def fitted(
    config: Estimator, columns: NDArray[np.float32], truth: NDArray[np.int64], seed: int
) -> Classifier:
    """A classifier of ``columns`` float32 [N, C] and their labels int64 [N], not calibrated yet."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(columns.astype(np.float64))
    mean, scale = (np.asarray(part, np.float32) for part in (scaler.mean_, scaler.scale_))
    linear = config.architecture == "logistic_regression"
    made = Classifier(_estimator(config, seed), mean, scale, standardised=linear)
    made.estimator.fit((made.embedding(columns) if linear else columns).astype(np.float64), truth)
    return made


def _estimator(config: Estimator, seed: int) -> Any:
    """Trees take columns as they are: a threshold between two values does not move by rounding there."""
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    depth = {} if config.max_depth is None else {"max_depth": config.max_depth}
    trees = {"n_estimators": config.n_estimators, "random_state": seed, **depth}
    match config.architecture:
        case "logistic_regression":
            return LogisticRegression(C=config.c, max_iter=ITERATIONS)
        case "random_forest":
            return RandomForestClassifier(**trees)
        case "gradient_boosting":
            return GradientBoostingClassifier(learning_rate=config.learning_rate, **trees)


def to_onnx(classifier: Classifier, path: Path) -> None:
    """Write the graph: ``columns`` float32 [N, C] to probabilities and embedding.

    The bytes depend on what was fitted alone.
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    width, labels = len(classifier.mean), len(classifier.estimator.classes_)
    inner = _exported(classifier.estimator, width)
    constants: dict[str, Any] = {
        "floor": FLOOR,
        "temperature": classifier.temperature,
        "mean": classifier.mean,
        "scale": classifier.scale,
        "nearest": -FARTHEST,
        "farthest": FARTHEST,
    }
    taken = "embedding" if classifier.standardised else "columns"
    nodes = [
        helper.make_node("Sub", ["columns", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["standardised"]),
        helper.make_node("Clip", ["standardised", "nearest", "farthest"], ["embedding"]),
        helper.make_node("Identity", [taken], ["own_columns"]),
        *inner.node,
        helper.make_node("Max", ["own_probabilities", "floor"], ["floored"]),
        helper.make_node("Log", ["floored"], ["logarithms"]),
        helper.make_node("Div", ["logarithms", "temperature"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "classifier",
        [tensor("columns", TensorProto.FLOAT, ["N", width])],
        [
            tensor("probabilities", TensorProto.FLOAT, ["N", labels]),
            tensor("embedding", TensorProto.FLOAT, ["N", width]),
        ],
        [
            *inner.initializer,
            *(numpy_helper.from_array(np.float32(value), name) for name, value in constants.items()),
        ],
    )
    opsets = [helper.make_opsetid(*each) for each in OPSETS.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    checker.check_model(model, full_check=True)
    write_bytes(path, model.SerializeToString(deterministic=True))


def _exported(estimator: Any, width: int) -> Any:
    """The exporter's graph from ``own_columns`` to ``own_probabilities``, without the label that it gives."""
    from onnx.compose import add_prefix
    from onnx.utils import Extractor
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    model = convert_sklearn(
        estimator,
        initial_types=[("columns", FloatTensorType([None, width]))],
        options={id(estimator): {"zipmap": False}},
        target_opset=OPSETS,
    )
    alone = Extractor(model).extract_model(["columns"], ["probabilities"])
    return add_prefix(alone, "own_").graph
