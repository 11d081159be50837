"""Rates that replicas count together, in a Redis of the test's own."""

import contextlib
import shutil
import socket
import subprocess

import httpx
import pytest
import redis

from tests.patience import until
from tests.serving.api.conftest import RED
from tests.serving.api.test_server import running

PASSWORD = "hush"
pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not there")


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def serving(port):
    """A Redis that keeps nothing and asks for the password."""
    options = {"port": port, "bind": "127.0.0.1", "requirepass": PASSWORD, "save": "", "appendonly": "no"}
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    process = subprocess.Popen(["redis-server", *arguments], stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port, password=PASSWORD)
    try:
        until(lambda: answers(client))
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(20)


def answers(client):
    try:
        return client.ping()
    except redis.ConnectionError:
        return False


def replica(signed, port, password=PASSWORD):
    return running(
        signed.path,
        "--public-key",
        signed.public_key,
        "--address-rate",
        "3/day",
        BONAFIDE_API_RATE_STORAGE=f"redis://:{password}@127.0.0.1:{port}",
    )


def ask(address):
    return httpx.post(f"{address}/predict", files={"image": RED}, timeout=30)


def log(process):
    process.terminate()
    return process.communicate(timeout=20)[1]


def test_replicas_count_together(signed, port):
    with serving(port), replica(signed, port) as (one, _), replica(signed, port) as (other, _):
        answers = [ask(address) for address in (one, other, one, other, one)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert [answer.headers["ratelimit"].split(";")[1] for answer in answers[:3]] == ["r=2", "r=1", "r=0"]


@pytest.mark.e2e
def test_without_redis_requests_are_let_through_until_it_is_back(signed, port):
    with replica(signed, port) as (address, process):
        assert [ask(address).status_code for _ in range(5)] == [200] * 5
        assert "ratelimit" not in ask(address).headers
        with serving(port) as client:
            until(lambda: "ratelimit" in ask(address).headers)
            assert client.dbsize() == 1
            until(lambda: ask(address).status_code == 429)
        assert ask(address).status_code == 200
        told = log(process)
    assert "requests are not counted" in told
    assert PASSWORD not in told


def test_with_another_password_nothing_is_counted_nor_told(signed, port):
    with serving(port) as client, replica(signed, port, "guessed") as (address, process):
        assert [ask(address).status_code for _ in range(5)] == [200] * 5
        assert client.dbsize() == 0
        told = log(process)
    assert "requests are not counted" in told
    assert "guessed" not in told
