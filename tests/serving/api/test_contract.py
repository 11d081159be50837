"""The service does what its OpenAPI document says, whatever is sent."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from bonafide.queue import Queue
from bonafide.serving.api import tokens
from bonafide.serving.api.app import create_app
from bonafide.serving.api.settings import Settings
from tests.packages import TOPIC
from tests.serving.api.conftest import BLUE, RED

TOKENS = {"secret": "s" * 32, "issuer": "me", "audience": "us"}
RATES = {"subject_rate": "1000000/minute", "address_rate": "1000000/minute"}
TOKEN = tokens.development_token(Settings(**TOKENS), "anna", tokens.SCOPES, 1)
IMAGES = ("/predict", "/predict/batch", "/predict/explain")
SERVICE = ("/health", "/ready", "/metrics")

bounded = settings(
    max_examples=50,
    derandomize=True,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def read(app):
    """Its document; more files than may be sent are refused with 413."""
    document = schemathesis.openapi.from_asgi("/openapi.json", app)
    refused = ["400", "401", "403", "404", "405", "409", "413", "415", "422"]
    document.config.checks.negative_data_rejection.expected_statuses = refused
    return document


@pytest.fixture
def document(local):
    return read(create_app(local(), Settings(**TOKENS, **RATES), TOPIC))


def conforms(case, *left_out):
    response = case.call(headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.status_code < 500
    case.validate_response(response, excluded_checks=list(left_out))
    return response.status_code


@pytest.mark.parametrize("path", SERVICE)
def test_service(document, path):
    @bounded
    @given(document[path]["GET"].as_strategy())
    def check(case):
        assert conforms(case) == 200

    check()


@pytest.mark.parametrize("path", IMAGES)
def test_bytes_of_any_kind(document, path):
    """What the document calls a file may be no image, so good form is not always answered with 200."""

    @bounded
    @given(document[path]["POST"].as_strategy())
    def check(case):
        conforms(case, positive_data_acceptance)

    check()


@pytest.mark.parametrize("path", IMAGES)
def test_images(document, path):
    several = path.endswith("batch")
    file = st.sampled_from([RED, BLUE])
    body = st.fixed_dictionaries({"images": st.lists(file, min_size=1)} if several else {"image": file})

    @bounded
    @given(body.map(lambda form: document[path]["POST"].Case(body=form, media_type="multipart/form-data")))
    def check(case):
        assert conforms(case) == 200

    check()


@pytest.mark.parametrize("path", IMAGES)
def test_what_does_not_fit(document, path):
    @bounded
    @given(document[path]["POST"].as_strategy(GenerationMode.NEGATIVE))
    def check(case):
        conforms(case)

    check()


RUNS = "/pipelines/{pipeline}/runs"
PATHS = [
    ("POST", RUNS),
    ("GET", RUNS),
    ("GET", f"{RUNS}/{{run}}"),
    ("POST", f"{RUNS}/{{run}}/cancel"),
    ("POST", "/hooks/alertmanager"),
]


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("method", "path"), PATHS)
def test_runs(local, monkeypatch, method, path, mode):
    """There may be no such task, so good form is not always answered with 202."""
    monkeypatch.setattr(Queue, "wake", lambda *_: None)
    app = create_app(local(), Settings(**TOKENS, **RATES), TOPIC, engine="")
    document = schemathesis.openapi.from_asgi("/openapi.json", app)

    @bounded
    @given(document[path][method].as_strategy(mode))
    def check(case):
        conforms(case, positive_data_acceptance)

    check()
