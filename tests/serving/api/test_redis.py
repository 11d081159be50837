"""Rates that several processes count together, in a real Redis."""

import shutil
import socket
import subprocess
import time

import pytest

from tests.serving.api.conftest import RED, problem

PASSWORD = "s3cret"

pytestmark = pytest.mark.skipif(not shutil.which("redis-server"), reason="needs redis-server")


class Redis:
    """A server on a port of its own, which asks for a password."""

    def __init__(self, folder):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}"
        self._folder = folder
        self.start()

    def start(self):
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen(
            [*command, "--requirepass", PASSWORD], cwd=self._folder, stdout=subprocess.DEVNULL
        )
        for _ in range(200):
            with socket.socket() as client:
                if not client.connect_ex(("127.0.0.1", self.port)):
                    return
            time.sleep(0.05)
        raise AssertionError("redis-server does not listen")

    def stop(self):
        self._process.terminate()
        self._process.wait(20)


@pytest.fixture
def redis(tmp_path):
    server = Redis(tmp_path)
    yield server
    server.stop()


def ask(client):
    return client.post("/predict", files={"image": RED})


def test_two_processes_share_one_count(serve, redis):
    first, second = (serve(address_rate="3/hour", rate_storage=redis.url) for _ in range(2))
    assert [ask(client).status_code for client in (first, second, first)] == [200] * 3
    problem(ask(second), 429)


def test_requests_are_let_through_while_it_is_away_and_counted_again_after(serve, redis, caplog):
    client = serve(address_rate="1/hour", rate_storage=redis.url)
    assert ask(client).status_code == 200
    redis.stop()
    assert [ask(client).status_code for _ in range(2)] == [200, 200]
    assert "requests are not counted" in caplog.text
    redis.start()
    assert ask(client).status_code == 200
    problem(ask(client), 429)


def test_a_wrong_password_is_logged_and_not_told(serve, redis, caplog):
    client = serve(rate_storage=redis.url.replace(PASSWORD, "wr0ng"))
    assert ask(client).status_code == 200
    assert "requests are not counted" in caplog.text
    told = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert not {"wr0ng", PASSWORD} & set(told.replace("'", " ").replace("@", " ").replace(":", " ").split())
