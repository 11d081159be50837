"""``bonafide predict`` about a row of a table; about images it is in tests/serving/test_cli.py."""

import json

import pytest

from bonafide.delivery.manifests import inference_service, to_yaml
from bonafide.errors import BonafideError, ConfigError
from bonafide.files import write_text
from tests import tables
from tests.cli.conftest import bonafide

ROW = [f"{name}={value}" for name, value in tables.ROW.items()]
EXPECTED = tables.probabilities([[*tables.ROW.values()]])[0]


@pytest.fixture
def predict(fruit, tmp_path):
    task, key = tables.task(tmp_path), fruit.public_key

    def ask(*words, code=0):
        return bonafide("predict", *words, "--task", task, "--public-key", key, code=code)

    return ask


def test_a_row_is_answered_as_json(predict, fruit):
    told = json.loads(predict(*reversed(ROW), "--package", fruit.path, "--json"))
    assert (told["model"], told["version"]) == ("shape", fruit.info.model_digest[:12])
    [answer] = told["predictions"]
    assert answer["row"] == tables.ROW
    assert (answer["label"], answer["uncertain"]) == ("round", False)
    assert [*answer["probabilities"]] == [*tables.LABELS]
    assert [*answer["probabilities"].values()] == pytest.approx(EXPECTED.tolist(), rel=1e-5)


def test_a_row_becomes_a_table(predict, fruit):
    lines = predict(*ROW, "--package", fruit.path).splitlines()
    [cells] = [line.split("│")[1:-1] for line in lines if line.startswith("│")]
    label, confidence, *probabilities = (cell.strip() for cell in cells)
    assert (label, confidence) == ("round", f"{EXPECTED[0]:.1%}")
    assert probabilities == [f"{share:.3f}" for share in EXPECTED]


def test_the_package_in_service_answers(predict, fruit, own_home):
    place = own_home / "delivery" / "environments" / "dev" / "shape" / "inferenceservice.yaml"
    write_text(place, to_yaml(inference_service("shape", "5", fruit.path.as_uri(), "bonafide-dev")))
    assert "shape, version 5" in predict(*ROW)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*ROW[:2]], "'weight' is missing; this model takes width, length, weight"),
        ([*ROW, "size=1"], "'size' is no column of this model"),
        ([*ROW[:2], "weight=0.5"], r"weight\[0\]: must be a whole number, got 0.5"),
        ([*ROW[:2], "weight=nan"], r"weight\[0\]: must be a finite number"),
        ([*ROW[:2], "weight=-1"], r"weight\[0\]: must be 0 or more, got -1"),
    ],
)
def test_a_row_that_does_not_fit_is_told(predict, fruit, words, message):
    with pytest.raises(BonafideError, match=message):
        predict(*words, "--package", fruit.path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*ROW, "width=1"], "width is given twice"),
        (["width"], "'width': write a column as NAME=NUMBER, such as width=5.1"),
        (["width=wide"], "'width=wide': write a column"),
        ([*ROW, "--explain", "heat.png"], "--explain draws heat maps of images"),
    ],
)
def test_words_that_are_no_row_are_told(predict, fruit, words, message):
    with pytest.raises(ConfigError, match=message):
        predict(*words, "--package", fruit.path)


def test_a_package_needs_no_task(fruit):
    told = bonafide("predict", *ROW, "--package", fruit.path, "--public-key", fruit.public_key, "--json")
    assert json.loads(told)["predictions"][0]["label"] == "round"
