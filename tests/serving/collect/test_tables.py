"""Rows that a predictor of tables was asked about become predictions, whatever the request looked like."""

import hashlib
import json

import numpy as np
import pytest

from bonafide.serving.client import HEADER, question
from bonafide.serving.collect import halves
from bonafide.serving.collect.halves import Asked
from bonafide.serving.errors import RequestError
from tests import tables
from tests.serving.collect.agent import Agent
from tests.serving.collect.test_collect import ALL, OCTETS, counted, find, send

INFER = "/v2/models/shape/infer"
ROWS = np.array([[5.1, 3.5, 2], [1, 9.25, 0]])
COLUMNS = dict(zip(tables.NAMES, ROWS.T, strict=True))


@pytest.fixture
def agent(fruit_server):
    return Agent(fruit_server.url)


def named(agent, **headers):
    """As the client of this project asks, with the columns in another order than the model's."""
    parts = [bytes(part) for part in question(dict(reversed(COLUMNS.items())), ALL)]
    headers |= {HEADER: str(len(parts[0])), "content-type": OCTETS}
    return agent.pass_on("POST", INFER, b"".join(parts), **headers)


def whole(agent, rows=ROWS, **headers):
    """JSON, with all columns in one tensor."""
    tensor = {"name": "columns", "shape": rows.shape, "datatype": "FP32", "data": rows.tolist()}
    content = json.dumps({"inputs": [tensor]}).encode()
    return agent.pass_on("POST", INFER, content, **headers, **{"content-type": "application/json"})


@pytest.mark.parametrize("ask", [named, whole])
@pytest.mark.parametrize("order", [1, -1])
def test_each_row_is_a_prediction_with_its_numbers_by_their_names(collector, agent, store, ask, order):
    _, events = ask(agent, **{"ce-id": "mine"})
    send(collector, events[::order])
    for index, (label, row) in enumerate(zip(("round", "long"), ROWS.astype("<f4"), strict=True)):
        found = find(store, f"mine.{index}")
        assert (found.task, found.version, found.label) == ("shape", "7", label)
        assert found.statistics == dict(zip(tables.NAMES, row.tolist(), strict=True))
        assert found.sha256 == hashlib.sha256(row.tobytes()).hexdigest()
        assert (found.embedding is not None) == (ask is named)
        assert found.image is None


def test_a_row_that_was_refused_is_forgotten(collector, agent, store):
    response, events = whole(agent, np.array([[50.0, 1, 1]]), **{"ce-id": "refused"})
    assert (response.status_code, len(events)) == (400, 1)
    send(collector, events)
    send(collector, whole(agent, ROWS[:1], **{"ce-id": "good"})[1])
    assert find(store, "good").label == "round"
    assert store.count() == 1


def test_a_tensor_that_holds_no_numbers_is_malformed(collector, agent):
    before = counted("malformed")
    tensor = {"name": "width", "shape": [1], "datatype": "BYTES", "data": ["wide"]}
    _, events = agent.pass_on("POST", INFER, json.dumps({"inputs": [tensor]}).encode())
    for headers, body in events:
        assert collector.post("/", content=body, headers=headers).status_code == 400
    assert counted("malformed") == before + 1


def test_columns_take_room_until_they_are_answered():
    asked = Asked(columns=COLUMNS)
    assert asked.size == ROWS.nbytes
    with pytest.raises(RequestError, match="'width' is no column"):
        asked.known(["length", "weight"])


def test_an_answer_names_as_many_columns_as_a_table_may_have(agent):
    events = whole(agent, **{"ce-id": "many"})[1]
    content = json.loads(events[1][1])
    content["parameters"]["columns"] = json.dumps([f"n{number}" for number in range(256)])
    with pytest.raises(RequestError, match="does not fit"):
        halves.answered(json.dumps(content).encode())
