"""The service API of a table's task: named numbers, and strict about them."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection
from starlette.testclient import TestClient

from bonafide.data.looks import looks
from bonafide.features import Feature
from bonafide.feedback.spool import Spool
from bonafide.feedback.store import Store
from bonafide.feedback.writer import Writer
from bonafide.serving.api import rows
from bonafide.serving.api.app import create_app
from bonafide.serving.api.settings import Settings
from bonafide.serving.api.topic import Topic
from bonafide.serving.api.upstream import Local
from bonafide.serving.client import Client
from bonafide.serving.compute.engine import Engine
from bonafide.serving.compute.scheduler import Capacity, Scheduler
from bonafide.serving.edge.limits import MAXIMUM_ROWS, Limits
from bonafide.serving.errors import Overloaded, RequestError
from bonafide.serving.models.predictor import Predictor
from bonafide.serving.models.versions import Models
from tests import tables
from tests.serving.api.conftest import problem
from tests.serving.api.test_contract import RATES, TOKENS, bounded, conforms, read

LONG = {"width": 1, "length": 9.25, "weight": 0}


@pytest.fixture
def topic(fruit):
    return Topic("shape", tables.LABELS, "table", fruit.info.input.features)


@pytest.fixture
def local(fruit):
    """The predictor in this process; whoever closes it ends its threads."""
    scheduler, models = Scheduler(Capacity(threads=1, queue=64)), Models()
    predictor = Predictor(Engine(fruit.path, fruit.public_key, threads=1), scheduler, "7")
    predictor.load()
    models.add(predictor)
    return Local(models, scheduler)


@pytest.fixture(params=["here", "over v2"])
def client(request, topic):
    if request.param == "here":
        upstream = request.getfixturevalue("local")
    else:
        upstream = Client(request.getfixturevalue("fruit_server").url)
    with TestClient(create_app(upstream, Settings(**RATES), topic)) as made:
        yield made


@pytest.fixture
def document(local, topic):
    return create_app(local, Settings(**RATES), topic)


def expected(row) -> dict[str, float]:
    shares = tables.probabilities([[row[name] for name in tables.NAMES]])[0]
    return pytest.approx(dict(zip(tables.LABELS, shares.tolist(), strict=True)), rel=1e-5)


def sent(client, body):
    """As whoever writes JSON by hand may send it: with a NaN, say."""
    headers = {"content-type": "application/json"}
    return client.post("/predict", content=json.dumps(body), headers=headers)


def test_a_row_gets_its_verdict(client):
    answer = client.post("/predict", json=dict(reversed(tables.ROW.items()))).raise_for_status().json()
    assert (answer["model"], answer["version"], answer["label"]) == ("shape", "7", "round")
    assert answer["probabilities"] == expected(tables.ROW)
    assert answer["confidence"] == answer["probabilities"]["round"]
    assert answer["uncertain"] is False
    assert "prediction_id" not in answer


REFUSED = {
    "a text": ({"width": "5.1"}, "width", "valid number"),
    "a truth value": ({"width": True}, "width", "valid number"),
    "nothing": ({"width": None}, "width", "valid number"),
    "no number": ({"width": float("nan")}, "width", "finite number"),
    "without end": ({"weight": float("inf")}, "weight", "finite number"),
    "too large for its type": ({"weight": 10**300}, "weight", "less than or equal to 34028"),
    "far too large": ({"weight": 10**400}, "weight", ""),
    "above": ({"width": 8}, "width", "less than or equal to 7.9"),
    "below": ({"length": 0.05}, "length", "greater than or equal to 0.1"),
    "half": ({"weight": 2.5}, "weight", "multiple of 1"),
    "a fifth key": ({"colour": 1}, "colour", "not permitted"),
    "a list": ({"width": [5.1]}, "width", "valid number"),
}


@pytest.mark.parametrize(("changes", "field", "why"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_by_its_name(client, changes, field, why):
    told = problem(sent(client, tables.ROW | changes), 422)
    assert [each["field"] for each in told["errors"]] == [field]
    assert why in told["errors"][0]["detail"]
    assert f"the row does not fit: {field}: " in told["detail"]


def test_all_that_does_not_fit_is_told(client):
    told = problem(client.post("/predict", json={"width": "x", "size": 1}), 422)
    assert {each["field"] for each in told["errors"]} == {"width", "length", "weight", "size"}


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"width=5.1", "application/x-www-form-urlencoded", 415),
        (b" " * (rows.BODY_BYTES + 1), "application/json", 413),
    ],
    ids=["nothing", "half", "deep", "no text", "a form", "too much"],
)
def test_what_is_no_json_is_refused(client, path, content, kind, status):
    problem(client.post(path, content=content, headers={"content-type": kind}), status)


@pytest.mark.parametrize("body", [[], 1, "row", [tables.ROW], None])
def test_what_is_no_row_is_refused(client, body):
    told = problem(sent(client, body), 422)
    assert "valid dictionary" in told["detail"]


def test_a_row_that_does_not_fit_does_not_spoil_the_others(client):
    body = [tables.ROW, tables.ROW | {"width": 9}, LONG, "row"]
    good, bad, other, none = client.post("/predict/batch", json=body).raise_for_status().json()["results"]
    assert [each["verdict"]["label"] for each in (good, other)] == ["round", "long"]
    assert other["verdict"]["probabilities"] == expected(LONG)
    assert (bad["problem"]["status"], bad["problem"]["errors"][0]["field"]) == (422, "width")
    assert none["problem"]["status"] == 422
    assert "verdict" not in bad


def test_many_rows_are_answered_and_no_more(client):
    body = [tables.ROW, LONG] * (MAXIMUM_ROWS // 2)
    results = client.post("/predict/batch", json=body).raise_for_status().json()["results"]
    assert [each["verdict"]["label"] for each in results] == ["round", "long"] * (MAXIMUM_ROWS // 2)
    told = problem(client.post("/predict/batch", json=[*body, LONG]), 413)
    assert told["detail"] == "10,001 rows are too many; send 10,000 at most"


@pytest.mark.parametrize("body", [[], tables.ROW])
def test_a_batch_is_a_list_of_rows(client, body):
    assert "send a list of rows" in problem(client.post("/predict/batch", json=body), 400)["detail"]


def test_each_row_counts_against_the_rate(local, topic):
    with TestClient(create_app(local, Settings(address_rate="3/minute"), topic)) as client:
        statuses = [client.post("/predict/batch", json=[LONG] * rows).status_code for rows in (4, 2, 2)]
    assert statuses == [413, 200, 429]


def test_a_row_has_no_heat_map_and_no_image(client):
    problem(client.post("/predict/explain", json=tables.ROW), 404)
    problem(client.post("/predict", files={"image": b"picture"}), 415)


def test_a_model_with_other_columns_is_told(local, topic):
    """As where a task's file was changed since the model was trained."""
    changed = Topic("shape", tables.LABELS, "table", (*topic.features, Feature(name="size")))
    with TestClient(create_app(local, Settings(), changed)) as client:
        told = problem(client.post("/predict", json=tables.ROW | {"size": 1}), 400)
    assert told["detail"] == "'size' is no column of this model; it takes width, length, weight"


def test_the_document_has_the_columns_of_the_task(document):
    told = document.openapi()
    assert set(told["paths"]) == {"/predict", "/predict/batch", "/health", "/ready", "/metrics"}
    content = told["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    row = content["schema"]
    assert row["required"] == [*tables.NAMES]
    assert row["additionalProperties"] is False
    width, weight = row["properties"]["width"], row["properties"]["weight"]
    assert (width["type"], width["minimum"], width["maximum"]) == ("number", 0, 7.9)
    assert width["description"] == "In cm."
    assert (weight["multipleOf"], weight["maximum"]) == (1, rows.LARGEST)
    said = told["paths"]["/predict"]["post"]["responses"]["200"]["content"]["application/json"]
    assert [*said["example"]["probabilities"]] == [*tables.LABELS]
    assert said["schema"]["$ref"].endswith("/Prediction")
    text = json.dumps([told["info"], told["paths"]]).lower()
    assert not [word for word in ("image", "picture", "pixel", "heat map") if word in text]


def test_the_examples_of_the_document_are_answered(document):
    with TestClient(document) as client:
        for path in ("/predict", "/predict/batch"):
            body = document.openapi()["paths"][path]["post"]["requestBody"]["content"]["application/json"]
            client.post(path, json=body["example"]).raise_for_status()


@pytest.mark.parametrize("path", ["/predict", "/predict/batch"])
@pytest.mark.parametrize("mode", GenerationMode)
def test_the_service_does_what_its_document_says(local, topic, path, mode):
    """Of a batch, one row that does not fit is told within the answer."""
    document = read(create_app(local, Settings(**TOKENS, **RATES), topic))
    left_out = [negative_data_rejection] * path.endswith("batch")

    @bounded
    @given(document[path]["POST"].as_strategy(mode))
    def check(case):
        status = conforms(case, *left_out)
        assert status == 200 or mode is GenerationMode.NEGATIVE

    check()


@pytest.mark.parametrize(
    ("low", "high", "whole", "middle"),
    [
        (0.1, 10, False, 5.05),
        (None, 3, False, 3),
        (2, None, False, 2),
        (None, None, False, 0),
        (0, 5, True, 3),
    ],
)
def test_an_example_lies_in_its_range(low, high, whole, middle):
    feature = Feature(name="size", low=low, high=high, whole=whole)
    assert rows.example([feature]) == {"size": middle}
    assert feature.problem(middle) == ""


@pytest.mark.parametrize("name", ["copy", "json", "schema", "model_config", "self", "class"])
def test_a_column_may_have_any_name(name):
    row = rows.row_type([Feature(name=name, low=0)])
    assert row.validate_python({name: 1.5}) == {name: 1.5}
    assert [*row.json_schema()["properties"]] == [name]


def test_rows_are_kept_with_their_numbers_and_take_feedback(local, topic, tmp_path):
    store = Store(f"sqlite:///{tmp_path}/store.db")
    store.database.check()
    writer = Writer(store, Spool(tmp_path / "spool"), looks)
    with TestClient(create_app(local, Settings(), topic, writer=writer)) as client:
        one = client.post("/predict", json=tables.ROW).raise_for_status().json()
        two = client.post("/predict/batch", json=[LONG, {}, tables.ROW]).json()["results"]
    found = store.find(one["prediction_id"])
    row = np.array([*tables.ROW.values()], "<f4")
    assert (found.task, found.version, found.label) == ("shape", "7", "round")
    assert found.statistics == dict(zip(tables.NAMES, row.tolist(), strict=True))
    assert found.sha256 == hashlib.sha256(row.tobytes()).hexdigest()
    np.testing.assert_allclose(np.frombuffer(found.embedding, "<f4"), row / 2)
    kept = [store.find(each["verdict"]["prediction_id"]) for each in (two[0], two[2])]
    assert [each.label for each in kept] == ["long", "round"]
    assert kept[1].sha256 == found.sha256
    writer = Writer(store, Spool(tmp_path / "spool"), looks)
    with TestClient(create_app(local, Settings(), topic, writer=writer)) as client:
        said = {"prediction_id": one["prediction_id"], "label": "heavy"}
        filed = client.post("/feedback", json=said)
        assert (filed.status_code, filed.json()["verdict"]) == (201, "wrong")
        assert problem(client.post("/feedback", json=said | {"label": "setosa"}), 409)


class Unasked:
    def validate_python(self, row):
        raise AssertionError("pydantic makes an error for each name")


def test_many_names_are_refused_before_they_are_looked_at():
    checked = rows.Endpoints(None, None, Limits(), Unasked(), {"width"})._checked
    assert len(checked({f"n{number}": 1 for number in range(50_000)}).members["errors"]) == 20
    assert len(checked({}, most=1).members["errors"]) == 1


def test_any_number_of_names_is_told_shortly(client):
    names = {f"n{number}": number for number in range(50_000)}
    answer = client.post("/predict", json=names)
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 20
    [one] = client.post("/predict/batch", json=[{}]).json()["results"]
    assert len(one["problem"]["errors"]) == 1


def test_rows_that_the_model_alone_refuses_do_not_spoil_the_others(local, topic):
    """The API was told of wider ranges than the model has by now."""
    wide = tuple(feature.model_copy(update={"high": None}) for feature in topic.features)
    made = create_app(local, Settings(**RATES), replace(topic, features=wide))
    rows = [tables.ROW] * 5 + [tables.ROW | {"width": 100}] + [LONG] * 3
    with TestClient(made) as client:
        results = client.post("/predict/batch", json=rows).json()["results"]
    assert ["verdict" in each for each in results] == [*[True] * 5, False, *[True] * 3]
    assert "width" in results[5]["problem"]["detail"]


class Narrower:
    """An upstream whose model takes less by now: no width that is ``too`` large."""

    def __init__(self, local):
        self.local, self.asked = local, 0

    async def infer(self, sent, outputs=()):
        self.asked += 1
        if (sent["width"] > 7).any():
            raise RequestError(f"width[{int((sent['width'] > 7).argmax())}]: must be 7 or less")
        return await self.local.infer(sent)

    async def close(self):
        await self.local.close()


class Away:
    async def infer(self, sent, outputs=()):
        raise Overloaded("the predictor does not answer", 3, "predictor")

    async def close(self):
        pass


FREE = Settings(subject_rate="99999/minute", address_rate="99999/minute")


def test_some_refused_rows_of_many_do_not_spoil_the_others(local, topic):
    sent = [tables.ROW | {"width": 7.5 if number % 100 == 0 else 5.1} for number in range(5000)]
    with TestClient(create_app(Narrower(local), FREE, topic=topic)) as client:
        results = client.post("/predict/batch", json=sent).json()["results"]
    assert [number for number, each in enumerate(results) if "problem" in each] == [*range(0, 5000, 100)]


def test_refused_rows_are_not_asked_about_without_end(local, topic):
    upstream = Narrower(local)
    with TestClient(create_app(upstream, FREE, topic=topic)) as client:
        results = client.post("/predict/batch", json=[tables.ROW | {"width": 7.5}] * 5000).json()["results"]
    details = {each["problem"]["detail"] for each in results}
    assert details == {"width[0]: must be 7 or less", rows.UNASKED}
    assert upstream.asked <= 2 * rows.REFUSALS + 1


def test_where_nobody_answers_the_whole_list_has_no_answer(topic):
    with TestClient(create_app(Away(), FREE, topic=topic)) as client:
        answer = client.post("/predict/batch", json=[tables.ROW] * 3)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
