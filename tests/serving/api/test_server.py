"""``bonafide api`` as people run it: a child process on a free port."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests import tables
from tests.patience import until
from tests.serving.api.conftest import RED
from tests.serving.api.issuer import Issuer
from tests.serving.api.test_upstream import answering

SECRET = {"BONAFIDE_API_SECRET": "s" * 40}


@contextlib.contextmanager
def running(*arguments, **environment):
    """The address of the service, its process and what it logs to."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bonafide", "api", "--port", "0", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    try:
        line = process.stdout.readline()
        found = re.search(r"http://\S+?(?=,)", line)
        assert found, process.stderr.read()
        yield found[0], process
    finally:
        process.terminate()
        process.communicate(timeout=20)


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "bonafide", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=60,
    )


@pytest.fixture(scope="module")
def service(signed):
    with running(signed.path, "--public-key", signed.public_key) as found:
        yield found[0]


def test_a_package_is_answered_with_in_process(service, signed):
    answer = httpx.post(f"{service}/predict", files={"image": RED}).json()
    assert (answer["label"], answer["version"]) == ("red", signed.info.model_digest[:12])
    assert httpx.get(f"{service}/ready").json() == {"status": "ready"}
    assert "bonafide_model_info" in httpx.get(f"{service}/metrics").text


def test_the_example_of_the_how_to_runs(service, tmp_path):
    page = (Path(__file__).parents[3] / "docs/how-to/service-api.md").read_text()
    (example,) = re.findall(r'^```python title="ask_api.py"\n(.*?)^```', page, re.MULTILINE | re.DOTALL)
    (tmp_path / "ask_api.py").write_text(example)
    (tmp_path / "good.png").write_bytes(RED)
    (tmp_path / "bad.png").write_bytes(b"no image")
    command = [sys.executable, "ask_api.py", service, "", "good.png", "bad.png"]
    output = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert output.splitlines() == [
        "good.png red 0.986",
        "bad.png 415 the content is no image; give JPEG, PNG or WEBP ",
    ]


def test_a_predictor_is_asked_over_the_network(server):
    with running("--url", server.url) as (url, _):
        answer = httpx.post(f"{url}/predict", files={"image": RED}).json()
    assert (answer["label"], answer["version"]) == ("red", "7")


def test_a_table_is_asked_about_here_and_over_the_network(fruit, fruit_server, tmp_path):
    """Here the package says what callers ask about, over the network the task does."""
    here = [fruit.path, "--public-key", fruit.public_key]
    for given in (here, ["--url", fruit_server.url, "--task", tables.task(tmp_path)]):
        with running(*given) as (url, _):
            answer = httpx.post(f"{url}/predict", json=tables.ROW)
            refused = httpx.post(f"{url}/predict", json=tables.ROW | {"width": "5.1"})
            document = httpx.get(f"{url}/openapi.json").json()
        assert (answer.status_code, answer.json()["label"]) == (200, "round")
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "width")
        body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
        assert [*body["schema"]["properties"]] == [*tables.NAMES]


def test_tokens_of_the_command_open_the_service(signed):
    token = command("api-token", "anna", "--scope", "predict", **SECRET).stdout.strip()
    with running(signed.path, "--public-key", signed.public_key, **SECRET) as (url, process):
        asked = [
            httpx.post(f"{url}{path}", files={"image": RED}, headers=headers).status_code
            for path in ("/predict", "/predict/explain")
            for headers in ({}, {"authorization": f"Bearer {token}"})
        ]
        process.terminate()
        log = process.stderr.read()
    assert asked == [401, 200, 401, 403]
    lines = [json.loads(line) for line in log.splitlines()]
    seen = [(line["status"], line["subject"]) for line in lines if line["message"] == "request"]
    assert seen == [(401, ""), (200, "anna"), (401, ""), (403, "anna")]
    assert token not in log


def test_alertmanager_s_token_is_that_of_the_file(tmp_path):
    (tmp_path / "hook-token").write_text(f"{'h' * 64}\n")
    given = ["--url", "http://127.0.0.1:9", "--model", "pets", "--pipelines", "local"]
    alert = {"version": "4", "groupKey": "", "status": "firing", "receiver": "training", "alerts": []}
    with running(*given, "--hook-token-file", tmp_path / "hook-token", **SECRET) as (url, _):
        for token, status in (("h" * 64, 200), ("x" * 64, 401)):
            headers = {"authorization": f"Bearer {token}"}
            assert httpx.post(f"{url}/hooks/alertmanager", json=alert, headers=headers).status_code == status


def test_the_address_is_that_of_the_proxy_unless_it_is_trusted(signed):
    given = [signed.path, "--public-key", signed.public_key, "--address-rate", "1/minute"]
    asked = {}
    for trusted in ("", "127.0.0.1"):
        with running(*given, "--trusted-proxies", trusted) as (url, _):
            asked[trusted] = [
                httpx.post(
                    f"{url}/predict", files={"image": RED}, headers={"x-forwarded-for": f"192.0.2.{number}"}
                ).status_code
                for number in (1, 2, 1)
            ]
    assert asked == {"": [200, 429, 429], "127.0.0.1": [200, 200, 429]}


def test_a_request_that_has_begun_is_finished_before_it_ends():
    busy = answering(503, '{"error": "busy"}', delay=1)
    with busy as (predictor, requests), running("--url", predictor, "--model", "colour") as (url, process):
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as client:
            head = "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: image/png\r\n"
            client.sendall(head.encode() + f"content-length: {len(RED)}\r\n\r\n".encode() + RED)
            until(lambda: requests)
            process.send_signal(signal.SIGTERM)
            answer = client.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"busy" in answer
        assert process.wait(20) == 0


def test_a_client_that_leaves_is_not_waited_for():
    with answering(200, "{}", delay=60) as (predictor, requests), running("--url", predictor) as (url, _):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}/predict", files={"image": RED}, timeout=httpx.Timeout(20, read=0.5))
        assert len(requests) == 1
        counted = 'bonafide_api_requests_total{method="POST",route="/predict",status="499"} 1.0'
        until(lambda: counted in httpx.get(f"{url}/metrics").text)


@pytest.mark.parametrize(
    "request_", [b"NONSENSE\r\n\r\n", b"GET / HTTP/1.1\r\nx: " + b"y" * 40_000 + b"\r\n\r\n"]
)
def test_what_is_no_request_is_a_problem_too(service, request_):
    host, _, port = service.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(request_)
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    problem = json.loads(body)
    assert problem["status"] == int(head.split()[1])
    assert problem["status"] in (400, 431)
    assert f"x-request-id: {problem['request_id']}".encode() in head


@pytest.mark.parametrize(
    ("arguments", "environment", "reason"),
    [
        (["package", "--url", "http://127.0.0.1:9"], {}, "a PACKAGE or --url of a server, one of them"),
        (["--host", "0.0.0.0"], {}, "or say --no-auth"),
        (["--host", "192.0.2.1"], {}, "or say --no-auth"),
        (["--no-auth"], SECRET, "--no-auth contradicts"),
        ([], {"BONAFIDE_API_SECRET": "short"}, "32 bytes or more"),
        (["--jwks", "https://issuer.example"], SECRET, "not both"),
        (["--address-rate", "lots"], {}, "address_rate"),
        (["--url", "http://127.0.0.1:9", "--rate-storage", "no://"], {}, "rate storage 'no'"),
        (["--url", "http://127.0.0.1:9", "--host", "192.0.2.1", "--no-auth"], {}, "cannot listen on"),
        ([], {}, "nothing is in service for authenticity"),
        (["--hook-token-file", "none"], {}, "--hook-token-file: none cannot be read"),
        (["--hook-token-file", os.devnull], {}, "/dev/null is empty"),
        (["--hook-token-file", __file__], SECRET, "say where: --pipelines local"),
    ],
)
def test_what_does_not_fit_is_told(arguments, environment, reason):
    result = command("api", *arguments, **environment)
    assert result.returncode == 2
    assert reason in result.stderr
    assert "Traceback" not in result.stderr
    assert "short" not in result.stderr


def test_a_key_set_lets_the_service_listen_everywhere(server):
    issuer = Issuer()
    issuer.add("ec")
    with issuer.served() as jwks:
        given = ["--url", server.url, "--host", "0.0.0.0", "--jwks", jwks]
        with running(*given, "--issuer", "https://issuer.example", "--audience", "bonafide") as (url, _):
            url = url.replace("0.0.0.0", "127.0.0.1")
            headers = {"authorization": f"Bearer {issuer.token('ec')}"}
            assert httpx.post(f"{url}/predict", files={"image": RED}, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "environment", "reason"),
    [
        (["anna"], {}, "$BONAFIDE_API_SECRET is not set"),
        (["anna", "--scope", "all"], SECRET, "--scope: 'all' is none of predict, batch, explain"),
    ],
)
def test_a_token_that_cannot_be_made_is_told(arguments, environment, reason):
    result = command("api-token", *arguments, **environment)
    assert result.returncode == 2
    assert reason in result.stderr
