"""What holds for every path: ids, logs, metrics, problems, headers, the page."""

import base64
import hashlib
import logging
import re

import pytest
from pydantic import ValidationError

from bonafide.serving.api.settings import Settings
from bonafide.serving.errors import Overloaded
from bonafide.telemetry import logs, metrics
from tests.serving.api.conftest import RED, problem


class Failing:
    """A predictor that is never well."""

    def __init__(self, error):
        self.error = error

    async def infer(self, images, heatmap=False):
        raise self.error

    async def ready(self):
        return False

    async def close(self):
        pass


def predict(client, **headers):
    return client.post("/predict", files={"image": RED}, headers=headers)


@pytest.mark.parametrize("given", ["abc-1", "x" * 128, "~!"])
def test_a_sane_request_id_is_kept(client, given):
    response = predict(client, **{"x-request-id": given})
    assert response.headers["x-request-id"] == given
    assert response.json()["request_id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", b"\xe9", "a\tb"])
def test_another_is_replaced(client, given):
    made = predict(client, **{"x-request-id": given}).headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f-]{36}", made)


def test_a_request_is_a_line_in_the_log(client, caplog):
    caplog.set_level(logging.INFO, "bonafide.api.access")
    predict(client)
    client.get("/no/such/path")
    client.get("/health")
    answered, absent = [record for record in caplog.records if record.name == "bonafide.api.access"]
    assert (answered.method, answered.route, answered.status) == ("POST", "/predict", 200)
    assert answered.ms > 0
    assert answered.subject == ""
    assert (absent.route, absent.status) == ("none", 404)


def test_a_request_is_counted(client):
    def counted(*labels):
        return metrics.API_REQUESTS.labels(*labels)._value.get()

    before = counted("/predict", "POST", 200), counted("none", "other", 404), counted("/predict", "PUT", 405)
    predict(client)
    client.request("FETCH", "/random")
    client.put("/predict")
    after = counted("/predict", "POST", 200), counted("none", "other", 404), counted("/predict", "PUT", 405)
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 1, 1]
    line = 'bonafide_api_requests_total{method="POST",route="/predict",status="200"}'
    assert line in client.get("/metrics").text


def test_the_predictor_knows_where_a_request_came_in(client):
    def counted():
        return metrics.REQUESTS.labels("colour", "7", "api", "ok")._value.get()

    before = counted()
    predict(client)
    assert counted() == before + 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/predict/", 404),
        ("GET", "/docs/files/../../app.py", 404),
        ("GET", "/docs/files/none.js", 404),
        ("GET", "/predict", 405),
        ("DELETE", "/predict/batch", 405),
        ("POST", "/health", 405),
        ("POST", "/docs", 405),
    ],
)
def test_what_is_not_there_is_a_problem(client, method, path, status):
    response = client.request(method, path, headers={"accept": "text/html"})
    problem(response, status)
    assert status == 404 or response.headers["allow"]


def test_a_predictor_that_is_busy_is_a_503(serve):
    client = serve(Failing(Overloaded("the server is busy", 7, "queue-full")))
    response = predict(client)
    assert problem(response, 503)["detail"] == "the server is busy"
    assert response.headers["retry-after"] == "7"
    problem(client.get("/ready"), 503)
    assert client.get("/health").json() == {"status": "ok"}


def test_an_error_of_ours_tells_nothing_and_is_logged(serve, caplog):
    client = serve(Failing(RuntimeError("secret path")))
    response = predict(client, **{"x-request-id": "r-9"})
    body = problem(response, 500)
    assert "secret" not in response.text
    assert body["request_id"] == "r-9"
    assert "RuntimeError: secret path" in caplog.text
    assert response.headers["x-content-type-options"] == "nosniff"


def test_browsers_are_told_to_be_careful(client):
    headers = predict(client).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in predict(client, origin="https://a.example").headers


def test_named_origins_may_ask(serve):
    client = serve(cors_origins=("https://a.example",))
    headers = predict(client, origin="https://a.example").headers
    assert headers["access-control-allow-origin"] == "https://a.example"
    assert "ratelimit" in headers["access-control-expose-headers"].lower()
    assert "access-control-allow-origin" not in predict(client, origin="https://b.example").headers
    asked = {
        "origin": "https://a.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    assert client.options("/predict", headers=asked).status_code == 200


def test_the_page_needs_no_other_host(client):
    page = client.get("/docs")
    assert re.findall(r"(?:src|href)=\"((?!data:)[^\"]+)", page.text) == [
        "/docs/files/swagger-ui.css",
        "/docs/files/swagger-ui-bundle.js",
    ]
    for path in ("/docs/files/swagger-ui.css", "/docs/files/swagger-ui-bundle.js"):
        assert len(client.get(path).content) > 50_000
    (script,) = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}'" in page.headers["content-security-policy"]
    assert "/openapi.json" in script


def test_the_document_says_who_may(client):
    document = client.get("/openapi.json").json()
    assert document["paths"]["/predict/explain"]["post"]["security"] == [{"HTTPBearer": ["explain"]}]
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert {"400", "401", "403", "413", "415", "429", "503"} <= set(
        document["paths"]["/predict"]["post"]["responses"]
    )
    assert "422" not in str(document["paths"])


def test_nothing_of_a_request_is_left_behind(client):
    predict(client)
    assert (logs.protocol.get(), logs.request_id.get()) == ("local", "")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"secret": "short", "issuer": "a", "audience": "b"}, "32 bytes or more"),
        ({"secret": "s" * 32}, "give both"),
        ({"secret": "s" * 32, "issuer": "a"}, "give both"),
        (
            {"secret": "s" * 32, "jwks": "https://a.example", "issuer": "a", "audience": "b"},
            "not both",
        ),
        ({"jwks": "http://a.example/keys", "issuer": "a", "audience": "b"}, "use https"),
        ({"jwks": "no/such/file", "issuer": "a", "audience": "b"}, "is no file"),
        ({"subject_rate": "many"}, "many"),
        ({"address_rate": "0"}, "0"),
        ({"cors_origins": ("*",)}, "is no origin"),
        ({"cors_origins": ("https://a.example/",)}, "is no origin"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, reason):
    with pytest.raises(ValidationError, match=reason) as refused:
        Settings(**settings)
    assert "s" * 32 not in str(refused.value)
