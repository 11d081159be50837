"""A table goes the way of all tasks: evaluated, compared, judged, exported."""

import io
import json
import re
import shutil

import numpy as np
import pytest

from bonafide.data import dataset as datasets
from bonafide.evaluation.compare import compare
from bonafide.evaluation.evaluate import EVALUATION_REPORT, SPLIT, read_measured, read_predictions
from bonafide.evaluation.examined import Asked
from bonafide.evaluation.export import CARD, REFERENCE
from bonafide.evaluation.gate import GATE_REPORT, decide
from bonafide.evaluation.rows import describe, examine
from bonafide.features import Feature
from bonafide.model.checkpoint import read_info
from bonafide.model.decision import decide as answered
from bonafide.model.estimators import train
from bonafide.model.info import TableInput
from bonafide.model.package import verify
from bonafide.model.runtime import OnnxModel
from bonafide.model.table import answer
from bonafide.task import Gate
from tests import flowers as iris
from tests import packages

NAMES = [feature.name for feature in iris.FEATURES]
FOREIGN = re.compile(
    r"\b(images?|pictures?|photographs?|pixels?|heat maps?|jpe?g|blur\w*|generators?|real|deepfakes?)\b",
    re.I,
)


def told(page: str) -> str:
    """Its words, those of pictures too, and not the style."""
    page = re.sub(r'src="data:[^"]+"|<style>.*?</style>', "", page, flags=re.S)
    return re.sub(r"<(?!img)[^>]*>", " ", page)


@pytest.fixture
def asked(flowers):
    info = read_info(flowers.checkpoint)
    model = OnnxModel(flowers.checkpoint, info, threads=1)
    answers = answer(model, flowers.dataset, SPLIT, info.outputs)
    truth = read_predictions(flowers.evaluation).truth
    decided = answered(answers["probabilities"], info.labels, info.decision)
    return Asked(model, flowers.dataset, SPLIT, truth, answers, decided, [], flowers.task.evaluation, 1)


def test_each_column_is_measured_once(flowers):
    importance = read_measured(flowers.evaluation).importance
    assert sorted(each.column for each in importance) == sorted(NAMES)
    assert [each.lost for each in importance] == sorted((each.lost for each in importance), reverse=True)
    assert importance[0].column.startswith("petal"), "which tells the species"


def test_every_wrong_answer_and_some_right_ones_are_shown_with_what_they_rest_on(asked):
    cases = examine(asked).cases
    wrong = asked.decided.label != asked.truth
    assert sum(not case.correct for case in cases) == wrong.sum() > 0
    assert [case.truth for case in cases if case.correct] == [
        label for label in iris.LABELS for _ in range(2)
    ]
    rows = datasets.rows(asked.dataset, SPLIT).tolist()
    for case in cases:
        row = rows.index(list(case.columns.values()))
        label = asked.model.info.labels.index(case.predicted)
        assert list(case.columns) == list(case.contributions) == NAMES
        assert case.confidence == asked.answers["probabilities"][row, label]
        rest = case.confidence - sum(case.contributions.values())
        assert rest == pytest.approx(asked.answers["probabilities"][:, label].mean(), abs=1e-5)


def test_of_many_columns_none_is_told_apart(tmp_path):
    """It would cost the graph 2^11 questions for each row of the background."""
    features = tuple(Feature(name=f"c{number}") for number in range(11))
    folder = iris.dataset(tmp_path / "dataset", features)
    info = train(folder, tmp_path / "model", iris.task().model, 1)
    model = OnnxModel(tmp_path / "model", info, threads=1)
    answers = answer(model, folder, SPLIT, info.outputs)
    truth = datasets.read(folder, SPLIT, ["label"])["label"].to_numpy()
    decided = answered(answers["probabilities"], info.labels, info.decision)
    found = examine(Asked(model, folder, SPLIT, truth, answers, decided, [], iris.task().evaluation, 1))
    assert len(found.importance) == 11
    assert found.cases
    assert not any(case.contributions for case in found.cases)


def test_the_report_shows_them(flowers):
    page = (flowers.evaluation / EVALUATION_REPORT).read_text()
    text = " ".join(told(page).split())
    assert "held-out rows" in text
    for each in read_measured(flowers.evaluation).importance:
        assert f"{each.column}: {each.lost:+.3f}." in text
    for heading in ("What it goes by", "The most confident wrong answers", "Typical right answers"):
        assert heading in text
    assert "How it was trained" not in text


def test_the_card_tells_columns_and_how_to_ask(flowers):
    card = (flowers.package / CARD).read_text()
    assert "pipeline_tag: tabular-classification" in card
    assert r"sepal\_length (cm, 0.1 to 10), " in card
    assert "bonafide predict sepal_length=NUMBER sepal_width=NUMBER petal_length=NUMBER" in card
    for each in read_measured(flowers.evaluation).importance:
        escaped = each.column.replace("_", r"\_")
        assert f"| {escaped} | {each.lost:+.3f} | {each.spread:.3f} |" in card


def test_no_word_of_images_stands_in_the_reports_of_a_table(flowers):
    pages = (flowers.evaluation / EVALUATION_REPORT, flowers.gate / GATE_REPORT, flowers.package / CARD)
    for page in pages:
        assert not FOREIGN.findall(told(page.read_text())), page


def test_the_gate_counts_rows(flowers):
    measured = read_measured(flowers.evaluation)
    compared = compare_alone(flowers, flowers.comparison.parent / "again")
    checks = decide(measured.metrics, compared, Gate(minimum_per_label=1000), ()).checks
    assert checks[1].name.startswith("test rows of ")
    assert not checks[1].passed


def compare_alone(flowers, out, champion=None):
    return compare(
        flowers.checkpoint,
        flowers.evaluation,
        flowers.dataset,
        champion,
        flowers.keys / "signing.pub",
        out,
        flowers.task.evaluation,
        1,
    )


def test_a_champion_answers_the_same_rows(flowers, tmp_path):
    found = compare_alone(flowers, tmp_path, ("3", flowers.package))
    assert (found.champion, found.disagreement) == ("3", 0)
    assert found.accuracy_difference.value == 0
    assert found.latency.median > 0 < found.champion_latency.median


def test_a_champion_of_images_cannot_be_compared(flowers, tmp_path):
    thresholds = {"thresholds": dict.fromkeys(iris.LABELS, 0.5)}
    other = packages.make(tmp_path, labels=iris.LABELS, decision=thresholds)
    run = flowers._replace(keys=tmp_path / "keys")
    found = compare_alone(run, tmp_path / "out", ("3", other.path))
    assert (found.champion, found.accuracy_difference) == ("3", None)


def test_a_champion_with_a_column_that_is_gone_cannot_be_compared(flowers, tmp_path):
    folder = shutil.copytree(flowers.dataset, tmp_path / "dataset")
    info = json.loads((folder / "dataset.json").read_text())
    info["features"] = info["features"][:-1]
    (folder / "dataset.json").write_text(json.dumps(info))
    changed = flowers._replace(dataset=folder)
    comparison = compare_alone(changed, tmp_path / "out", ("3", flowers.package))
    assert comparison.champion == "3"
    assert comparison.accuracy_difference is None


def test_columns_are_what_drift_is_told_by(flowers):
    info = verify(flowers.package, flowers.keys / "signing.pub")
    assert isinstance(info.input, TableInput)
    rows = datasets.rows(flowers.dataset, "val")
    assert np.array_equal([list(each.values()) for each in describe(flowers.dataset, "val")], rows)
    with np.load(io.BytesIO((flowers.package / REFERENCE).read_bytes()), allow_pickle=False) as reference:
        columns = {f"statistics.{name}" for name in NAMES}
        assert set(reference) == {"probabilities", "embedding", "label", "group", *columns}
        for number, name in enumerate(NAMES):
            assert np.array_equal(reference[f"statistics.{name}"], rows[:, number])
