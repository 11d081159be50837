"""The live server does what its OpenAPI document says, whatever is sent."""

import base64
from pathlib import Path

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from bonafide.serving.edge.body import Budget
from bonafide.serving.edge.limits import Limits
from bonafide.serving.v2.rest import create_app
from tests import packages

DOCUMENT = Path(__file__).parents[3] / "docs/reference/inference-v2.openapi.yaml"
PATHS = yaml.safe_load(DOCUMENT.read_text())["paths"]
OPERATIONS = [(path, method) for path, item in PATHS.items() for method in ("get", "post") if method in item]
BODIES = [path for path, item in PATHS.items() if "requestBody" in item.get("post", {})]
REAL = {"model": "colour", "version": "7"}
SCHEMA = schemathesis.openapi.from_path(DOCUMENT)
SCHEMA.config.checks.negative_data_rejection.expected_statuses = ["400", "404", "413", "415"]

bounded = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

OUTPUTS = ["label", "probabilities", "uncertain", "embedding", "heatmap"]


def ask(case, url, *left_out, **more):
    """Call the server and hold the answer against the document; its status."""
    response = case.call(base_url=url, **more)
    case.validate_response(response, excluded_checks=list(left_out))
    assert response.headers["x-request-id"]
    return response.status_code


def known(case):
    """The same about the model that there is."""
    case.path_parameters = {name: REAL[name] for name in case.path_parameters}
    return case


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
@pytest.mark.parametrize("real", [True, False])
def test_whatever_fits_the_answer_is_as_documented(server, path, method, real):
    """A name may be of no model, a text no base64 and its bytes no image: only the server can know."""
    cases = SCHEMA[path][method.upper()].as_strategy()

    @bounded
    @given(cases.map(known) if real else cases)
    def check(case):
        ask(case, server.url, positive_data_acceptance)

    check()


@pytest.mark.parametrize("path", BODIES)
def test_a_body_that_does_not_fit_is_refused(server, path):
    @bounded
    @given(SCHEMA[path]["POST"].as_strategy(GenerationMode.NEGATIVE).map(known))
    def check(case):
        ask(case, server.url)

    check()


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_what_the_document_calls_right_about_the_model_is_answered(server, path, method):
    images = st.lists(st.sampled_from(["PNG", "JPEG", "WEBP"]), min_size=1, max_size=4)
    operation = SCHEMA[path][method.upper()]
    names = {name: REAL[name] for name in REAL if f"{{{name}}}" in path}
    outputs = st.lists(st.sampled_from(OUTPUTS), unique=True)

    @bounded
    @given(kinds=images, outputs=outputs, binary=st.none() | st.booleans(), whole=st.booleans())
    def check(kinds, outputs, binary, whole):
        files = [packages.image((9, 200, 9), 20, kind) for kind in kinds]
        tensor = {"name": "image", "shape": [len(files)], "datatype": "BYTES"}
        wanted = [{"name": name, "parameters": {"binary_data": binary}} for name in outputs]
        body = {"inputs": [tensor], "outputs": wanted, "parameters": {"binary_data_output": whole}}
        tensor["data"] = [base64.b64encode(file).decode() for file in files]
        case = operation.Case(path_parameters=names, **({"body": body} if path.endswith("infer") else {}))
        assert ask(case, server.url) == (403 if "/repository/models" in path else 200)

    check()


@pytest.mark.parametrize("path", [path for path in PATHS if path.endswith("infer")])
def test_the_examples_are_answered(server, path):
    content = PATHS[path]["post"]["requestBody"]["content"]["application/json"]
    assert len(content["examples"]) == 2
    names = {name: REAL[name] for name in REAL if f"{{{name}}}" in path}
    for example in content["examples"].values():
        case = SCHEMA[path]["POST"].Case(path_parameters=names, body=example["value"])
        assert ask(case, server.url) == 200


def test_every_route_is_documented(models):
    app = create_app(models, Limits(), Budget(1))
    offered = {
        (route.path, method)
        for route in app._app.router.routes
        for method in route.methods - {"HEAD"}
        if route.path != "/metrics"
    }
    assert offered == {(path, method.upper()) for path, method in OPERATIONS}
