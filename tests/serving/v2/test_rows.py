"""A served model of tables over REST and gRPC."""

import json

import grpc
import httpx
import numpy as np
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc

from bonafide.serving.edge.limits import MAXIMUM_ROWS
from tests import tables

INFER = "/v2/models/shape/infer"
ROWS = np.array([[5.1, 3.5, 2], [1, 9.25, 0], [7.9, 0.1, 10]], np.float32)
LABELS = ["round", "long", "heavy"]


@pytest.fixture
def http(fruit_server):
    with httpx.Client(base_url=fruit_server.url, timeout=30) as client:
        yield client


@pytest.fixture
def stub(fruit_server):
    with grpc.insecure_channel(fruit_server.grpc) as channel:
        yield grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)


def tensor(name, values, datatype="FP32", **changes) -> dict:
    values = np.asarray(values)
    given = {"name": name, "shape": [*values.shape], "datatype": datatype, "data": values.ravel().tolist()}
    return given | changes


def each(rows=ROWS, **changes) -> list[dict]:
    """A tensor for each column, in another order than the model's."""
    named = zip(tables.NAMES, np.asarray(rows).T, strict=True)
    return [tensor(name, column) | changes for name, column in named][::-1]


def outputs(answer: dict) -> dict[str, np.ndarray]:
    return {each["name"]: np.reshape(each["data"], each["shape"]) for each in answer["outputs"]}


WIDTH, LENGTH, WEIGHT = ROWS.T


@pytest.mark.parametrize(
    "inputs",
    [
        [tensor("columns", ROWS)],
        [tensor("columns", ROWS, data=ROWS.tolist())],
        [tensor("columns", ROWS, "FP64")],
        each(),
        each(shape=[3, 1]),
        [
            tensor("weight", WEIGHT.astype(int), "INT64"),
            tensor("width", WIDTH, "FP64"),
            tensor("length", LENGTH),
        ],
    ],
    ids=["flat", "nested", "double", "each", "each as a column", "each of its kind"],
)
def test_rows_are_answered_however_they_are_laid_out(http, inputs):
    answer = http.post(INFER, json={"inputs": inputs}).raise_for_status().json()
    np.testing.assert_allclose(outputs(answer)["probabilities"], tables.probabilities(ROWS), rtol=1e-5)
    assert outputs(answer)["label"].tolist() == LABELS
    assert outputs(answer)["uncertain"].tolist() == [False, False, False]
    assert answer["parameters"] == {
        "model_version": "7",
        "labels": json.dumps(tables.LABELS),
        "columns": json.dumps(tables.NAMES),
    }


def test_binary_tensors_are_answered(http):
    for values, kind in ((ROWS, "FP32"), (ROWS.astype("<f8"), "FP64")):
        size = {"binary_data_size": values.nbytes}
        given = {"name": "columns", "shape": [3, 3], "datatype": kind, "parameters": size}
        head = json.dumps({"id": "odd" * len(kind), "inputs": [given]}).encode()
        headers = {"Inference-Header-Content-Length": str(len(head))}
        answer = http.post(INFER, content=head + values.tobytes(), headers=headers).raise_for_status().json()
        np.testing.assert_allclose(outputs(answer)["probabilities"], tables.probabilities(ROWS), rtol=1e-5)


def test_the_embedding_is_answered_on_request(http):
    asked = {"inputs": [tensor("columns", ROWS)], "outputs": [{"name": "embedding"}]}
    answer = http.post(INFER, json=asked).raise_for_status().json()
    np.testing.assert_allclose(outputs(answer)["embedding"], ROWS / 2, rtol=1e-6)


def test_the_metadata_names_the_columns(http, stub):
    told = http.get("/v2/models/shape").json()
    expected = [("columns", "FP32", [-1, 3]), *((name, "FP32", [-1]) for name in tables.NAMES)]
    assert [(each["name"], each["datatype"], each["shape"]) for each in told["inputs"]] == expected
    assert [each["name"] for each in told["outputs"]] == ["label", "probabilities", "uncertain", "embedding"]
    metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="shape"))
    assert [(each.name, each.datatype, [*each.shape]) for each in metadata.inputs] == expected


def test_a_request_takes_many_rows_and_no_more(http):
    rows = np.tile(ROWS, (MAXIMUM_ROWS // 3 + 1, 1))
    answer = http.post(INFER, json={"inputs": [tensor("columns", rows[:MAXIMUM_ROWS])]}).raise_for_status()
    found = outputs(answer.json())["probabilities"]
    np.testing.assert_allclose(found, tables.probabilities(rows[:MAXIMUM_ROWS]), rtol=1e-5)
    refused = http.post(INFER, json={"inputs": each(rows[: MAXIMUM_ROWS + 1])})
    assert refused.status_code == 413
    assert refused.json()["error"] == "weight: 10,001 rows, at most 10,000 a request; split them"


def test_a_bound_itself_is_within_it_as_float32_too(http):
    edge = np.nextafter(np.float32(7.9), np.float32(9))
    for width, status in ((7.9, 200), (float(edge), 400)):
        given = [tensor("columns", [[width, 0.1, 0]])]
        assert http.post(INFER, json={"inputs": given}).status_code == status


def changed(row, column, value) -> list[dict]:
    rows = ROWS.tolist()
    rows[row][column] = value
    return [tensor("columns", ROWS, data=rows)]


REFUSED = {
    "below": (changed(1, 1, 0.05), "length[1]: must be 0.1 or more, got 0.05"),
    "above": (changed(2, 0, 8), "width[2]: must be 7.9 or less, got 8"),
    "no whole number": (changed(0, 2, 2.5), "weight[0]: must be a whole number, got 2.5"),
    "infinite": (changed(0, 2, 1e39), "weight[0]: must be a finite number"),
    "a text": (changed(0, 1, "3.5"), "columns: value 1 must be a number, as the datatype says; got str"),
    "a truth value": (
        changed(0, 1, True),
        "columns: value 1 must be a number, as the datatype says; got b",
    ),
    "nothing": (changed(1, 1, None), "columns: value 4 must be a number, as the datatype says; got None"),
    "ragged": ([tensor("columns", ROWS, data=[[1, 2, 3], [1, 2]])], "columns: the data is no regular array"),
    "half a number": (each(datatype="INT32"), "must be a whole number, as the datatype says; got float"),
    "too few values": (
        [tensor("columns", ROWS, data=[1.0])],
        "columns: shape [3, 3] needs 9 values",
    ),
    "no numbers": (
        each(datatype="BYTES"),
        "weight: datatype must be one of numbers, such as FP32; got ",
    ),
    "too narrow": (
        [tensor("columns", ROWS[:, :2])],
        "shape must be [N, 3]: width, length, weight; got",
    ),
    "one row as such": ([tensor("columns", ROWS[0])], "columns: shape must be [N, 3]"),
    "too deep": ([tensor("columns", ROWS[None])], "columns: shape must be [N, C], got [1, 3, 3]"),
    "a wide column": (each(shape=[1, 3]), "weight: shape must be [N] or [N, 1], got [1, 3]"),
    "negative": ([tensor("columns", ROWS, shape=[-3, -3])], "columns: shape must be [N, C], got [-3, -3]"),
    "empty": ([tensor("columns", ROWS[:0])], "columns: empty; give at least one row"),
    "no tensor": ([], "inputs: none; give 'columns', or a tensor for each column"),
    "a column less": (each()[1:], "'weight' is missing; this model takes width, length, weight"),
    "a column more": (
        [*each(), tensor("colour", [1.0])],
        "'colour' is no column of this model",
    ),
    "twice": ([*each(), tensor("width", WIDTH)], "inputs: 'width' stands twice"),
    "both": ([*each(), tensor("columns", WIDTH)], "'columns' is no column of this model"),
    "different lengths": (
        [*each()[:2], tensor("width", [1.0])],
        "the columns are of different lengths: ",
    ),
    "an image": (
        [tensor("image", [1.0])],
        "'image' is no column of this model; it takes width",
    ),
}


@pytest.mark.parametrize(("inputs", "message"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_by_its_name(http, inputs, message):
    refused = http.post(INFER, json={"inputs": inputs})
    assert refused.status_code == 400, refused.text
    assert message in refused.json()["error"]


def test_binary_nan_and_a_wrong_length_are_refused(http):
    for rows, message in (
        (np.where(ROWS == 9.25, np.nan, ROWS), "length[1]: must be a finite number"),
        (ROWS[:2], "columns: shape [3, 3] of FP32 does not fit 24 bytes"),
    ):
        content = rows.astype("<f4").tobytes()
        size = {"binary_data_size": len(content)}
        given = {"name": "columns", "shape": [3, 3], "datatype": "FP32", "parameters": size}
        head = json.dumps({"inputs": [given]}).encode()
        headers = {"Inference-Header-Content-Length": str(len(head))}
        refused = http.post(INFER, content=head + content, headers=headers)
        assert (refused.status_code, refused.json()["error"]) == (400, message)


def message(*given: tuple, raw=()) -> pb.ModelInferRequest:
    inputs = [
        pb.ModelInferRequest.InferInputTensor(name=name, shape=shape, datatype=kind, contents=contents)
        for name, shape, kind, contents in given
    ]
    return pb.ModelInferRequest(model_name="shape", inputs=inputs, raw_input_contents=raw)


GRPC = {
    "raw": message(("columns", [3, 3], "FP32", None), raw=[ROWS.astype("<f4").tobytes()]),
    "typed": message(
        ("columns", [3, 3], "FP32", pb.InferTensorContents(fp32_contents=ROWS.ravel().tolist()))
    ),
    "each": message(
        ("length", [3], "FP32", pb.InferTensorContents(fp32_contents=LENGTH.tolist())),
        ("width", [3, 1], "FP64", pb.InferTensorContents(fp64_contents=WIDTH.tolist())),
        ("weight", [3], "INT32", pb.InferTensorContents(int_contents=WEIGHT.astype(int).tolist())),
    ),
}


@pytest.mark.parametrize("asked", GRPC.values(), ids=GRPC)
def test_rows_are_answered_over_grpc(stub, asked):
    answer = stub.ModelInfer(asked)
    raw = dict(zip([each.name for each in answer.outputs], answer.raw_output_contents, strict=True))
    found = np.frombuffer(raw["probabilities"], "<f4").reshape(3, 3)
    np.testing.assert_allclose(found, tables.probabilities(ROWS), rtol=1e-5)
    assert json.loads(answer.parameters["columns"].string_param) == [*tables.NAMES]


def test_what_does_not_fit_is_refused_over_grpc(stub):
    rows = ROWS.copy()
    rows[1, 1] = 11
    with pytest.raises(grpc.RpcError) as refused:
        stub.ModelInfer(message(("columns", [3, 3], "FP32", None), raw=[rows.tobytes()]))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == "length[1]: must be 10 or less, got 11"


def refused(http, *inputs) -> str:
    answer = http.post(INFER, json={"inputs": inputs})
    assert answer.status_code == 400
    return answer.json()["error"]


def test_foreign_names_and_widths_are_refused_before_values_are_read(http):
    wide = {"name": "columns", "shape": [2, 4], "datatype": "FP32", "data": ["x"] * 8}
    assert "shape must be [N, 3]" in refused(http, wide)
    foreign = refused(http, {"name": "x" * 5000, "shape": [1], "datatype": "FP32", "data": ["x"]})
    assert "is no column of this model" in foreign
    assert len(foreign) < 200


@pytest.mark.parametrize("value", [300, -2])
def test_a_whole_number_fits_its_datatype(http, value):
    inputs = [{"name": name, "shape": [1], "datatype": "UINT8", "data": [5]} for name in tables.NAMES]
    inputs[0]["data"] = [value]
    assert "too large for UINT8" in refused(http, *inputs)
