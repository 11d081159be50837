import itertools
import json
import os
import signal
import threading

import pytest

from bonafide.errors import BonafideError
from bonafide.traffic import simulate as module
from bonafide.traffic.pictures import Pictures
from bonafide.traffic.simulate import Plan, simulate
from tests import http_server
from tests.cli.conftest import bonafide
from tests.data.pictures import encode, picture


class Server:
    """Answers in turn as two predictors, of which the second always fails; knows how many it had at once."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.most = self.now = 0
        self.go = threading.Event()
        self.go.set()
        self._lock = threading.Lock()
        self._turn = itertools.count()

    def __enter__(self) -> str:
        server = self

        class Handler(http_server.Handler):
            def answer(self):
                if self.command == "GET":
                    self.reply(200, {}, json.dumps({"models": ["pets"]}).encode())
                else:
                    server.answer(self)

        self._served = http_server.serving(Handler)
        return self._served.__enter__()

    def __exit__(self, *error) -> None:
        self._served.__exit__(*error)

    def answer(self, handler: http_server.Handler) -> None:
        body = handler.body()
        with self._lock:
            self.bodies.append(body)
            self.now += 1
            self.most = max(self.most, self.now)
            second = next(self._turn) % 2
        self.go.wait(30)
        with self._lock:
            self.now -= 1
        handler.reply(500 if second else 200, {"x-bonafide-predictor": f"v{second + 1}"}, b"{}")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "real").mkdir()
    for number in range(3):
        (tmp_path / "real" / f"{number}.jpg").write_bytes(encode(picture(number)))
    return tmp_path


def nothing(steps=1, detail=""):
    pass


def test_answers_are_counted_by_predictor(folder):
    server = Server()
    with server as url:
        outcome = simulate(url, "", Pictures(str(folder), {}), Plan(rate=200, seconds=1), nothing)
    good, bad = outcome.tallies["v1"], outcome.tallies["v2"]
    assert outcome.requests == len(server.bodies) == good.requests + bad.requests
    assert outcome.requests < 260  # 200 + 4 standard deviations
    assert outcome.requests > 140 or outcome.late, "a slow machine says that it is late"
    assert (good.failures, bad.failures) == (0, bad.requests)
    assert 0 < good.quantile(0.5) <= good.quantile(0.95)
    assert bad.quantile(0.5) is None
    contents = {path.read_bytes() for path in folder.rglob("*.jpg")}
    assert all(any(body.endswith(content) for content in contents) for body in server.bodies)


def test_no_more_than_a_bound_are_under_way_and_what_waits_is_late(folder, monkeypatch):
    monkeypatch.setattr(module, "IN_FLIGHT", 4)
    server = Server()
    server.go.clear()
    threading.Timer(0.6, server.go.set).start()
    with server as url:
        outcome = simulate(url, "", Pictures(str(folder), {}), Plan(rate=100, seconds=1), nothing)
    assert server.most <= 4
    assert 0 < outcome.late < outcome.requests


def test_a_server_that_is_away_is_told(folder):
    with pytest.raises(BonafideError, match=r"does not answer: ConnectError; start a server"):
        simulate("http://127.0.0.1:9", "", Pictures(str(folder), {}), Plan(1, 1), nothing)


def test_one_that_goes_away_is_counted(folder):
    outcome = simulate("http://127.0.0.1:9", "pets", Pictures(str(folder), {}), Plan(50, 1), nothing)
    assert set(outcome.tallies) == {"no answer"}
    assert outcome.failures == outcome.requests > 0


def test_the_command_prints_the_table_also_after_a_signal(folder):
    with Server() as url:
        threading.Timer(1.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        options = ("--images", folder, "--rate=40", "--seconds=600", "--mix=real=1", "--drift=1")
        told = bonafide("simulate", url, *options)
    rows = [line.split("│")[1:-1] for line in told.splitlines() if line.startswith("│")]
    found = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}
    assert found["v1"][1] == "0"
    assert found["v1"][2].endswith(" ms")
    assert found["v2"][0] == found["v2"][1]
    assert found["v2"][2] == "–"
