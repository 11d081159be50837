import json
import shutil

import pytest

from bonafide.errors import PackageError
from bonafide.evaluation.champion import answers_of, compare_with_champion, read_comparison
from bonafide.evaluation.gate import decide
from bonafide.evaluation.measured import read_predictions
from bonafide.evaluation.verdict import read_measured
from bonafide.model.package import verify
from bonafide.model.runtime import OnnxModel
from tests.conftest import SEED


@pytest.fixture
def compare(made, tmp_path):
    def with_champion(package, dataset=made.dataset):
        return compare_with_champion(
            made.evaluation,
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


def test_a_champion_is_no_better_than_itself(made, compare, tmp_path):
    comparison = compare(made.package)
    assert comparison == read_comparison(tmp_path / "comparison")
    assert comparison.champion == "7"
    assert comparison.disagreement == 0
    for difference in (comparison.accuracy_difference, comparison.macro_f1_difference):
        assert (difference.low, difference.value, difference.high) == (0, 0, 0)


def test_a_champion_answers_the_same_images_in_the_same_order(made):
    model = OnnxModel(made.package, verify(made.package, made.keys / "signing.pub"))
    expected = read_predictions(made.evaluation).probabilities
    assert answers_of(model, made.dataset) == pytest.approx(expected, abs=1e-4)


def test_a_champion_that_was_changed_is_not_loaded(made, compare, tmp_path):
    package = shutil.copytree(made.package, tmp_path / "package")
    with (package / "model.onnx").open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(PackageError, match="was changed after signing"):
        compare(package)
    assert not (tmp_path / "comparison").exists()


def test_a_champion_with_other_labels_is_not_compared_and_not_passed(made, compare, tmp_path):
    dataset = shutil.copytree(made.dataset, tmp_path / "dataset")
    info = json.loads((dataset / "dataset.json").read_text())
    info["labels"] = info["labels"][::-1]
    (dataset / "dataset.json").write_text(json.dumps(info))
    comparison = compare(made.package, dataset)
    assert comparison.champion == "7"
    assert comparison.accuracy_difference is None
    measured = read_measured(made.evaluation)
    verdict = decide(measured.metrics, comparison, made.task.gate, measured.robustness, measured.latency_ms)
    assert not verdict.promote
