import csv
import itertools
import json
import os
import signal
import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from bonafide.errors import BonafideError, ConfigError
from bonafide.serving.client import HEADER
from bonafide.traffic import simulate as module
from bonafide.traffic.drift import Drift
from bonafide.traffic.endpoint import Server
from bonafide.traffic.pictures import Pictures
from bonafide.traffic.simulate import Plan, simulate
from tests import http_server
from tests.cli.conftest import bonafide
from tests.data.pictures import encode, picture
from tests.patience import until


def answer(*names):
    """A v2 server's answer with the outputs of that name: the image is real."""
    values = {
        "label": ("BYTES", struct.pack("<I4s", 4, b"real")),
        "uncertain": ("BOOL", b"\0"),
        "probabilities": ("FP32", np.array([0.75, 0.25], "<f4").tobytes()),
    }
    outputs = [
        {
            "name": name,
            "datatype": values[name][0],
            "shape": [1, 2] if name == "probabilities" else [1],
            "parameters": {"binary_data_size": len(values[name][1])},
        }
        for name in names
    ]
    told = {"labels": json.dumps(["real", "fake"]), "model_version": "7"}
    head = json.dumps({"model_name": "pets", "parameters": told, "outputs": outputs}).encode()
    return {HEADER: str(len(head))}, head + b"".join(values[name][1] for name in names)


WHOLE = answer("label", "uncertain", "probabilities")


class Predictors:
    """Answers in turn as two, of which the second always fails; knows how many requests it had at once."""

    def __init__(self, told=WHOLE) -> None:
        self.told = told
        self.bodies: list[bytes] = []
        self.ids: list[str] = []
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
            self.ids.append(handler.headers["ce-id"])
            self.now += 1
            self.most = max(self.most, self.now)
            second = next(self._turn) % 2
        self.go.wait(30)
        with self._lock:
            self.now -= 1
        headers, content = ({}, b"{}") if second else self.told
        handler.reply(500 if second else 200, headers | {"x-bonafide-predictor": f"v{second + 1}"}, content)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "real").mkdir()
    for number in range(3):
        (tmp_path / "real" / f"{number}.jpg").write_bytes(encode(picture(number)))
    return tmp_path


def nothing(steps=1, detail=""):
    pass


def test_answers_are_counted_by_predictor(folder):
    server = Predictors()
    with server as url:
        outcome = simulate(Server(url), Pictures(str(folder), {}), Plan(rate=200, seconds=1), nothing)
    good, bad = outcome.tallies["v1"], outcome.tallies["v2"]
    assert outcome.requests == len(server.bodies) == good.requests + bad.requests
    assert outcome.requests < 260  # 200 + 4 standard deviations
    assert outcome.requests > 140 or outcome.late, "a slow machine says that it is late"
    assert (good.failures, bad.failures) == (0, bad.requests)
    assert 0 < good.quantile(0.5) <= good.quantile(0.95)
    assert bad.quantile(0.5) is None
    assert outcome.reasons == {"500": bad.failures}
    contents = {path.read_bytes() for path in folder.rglob("*.jpg")}
    assert all(any(body.endswith(content) for content in contents) for body in server.bodies)


def test_no_more_than_a_bound_are_under_way_and_what_waits_is_late(folder, monkeypatch):
    monkeypatch.setattr(module, "IN_FLIGHT", 4)
    server = Predictors()
    server.go.clear()
    threading.Timer(0.6, server.go.set).start()
    with server as url:
        outcome = simulate(Server(url), Pictures(str(folder), {}), Plan(rate=100, seconds=1), nothing)
    assert server.most <= 4
    assert 0 < outcome.late < outcome.requests


def test_a_server_that_is_away_is_told(folder):
    with pytest.raises(BonafideError, match=r"does not answer: ConnectError; start a server"):
        simulate(Server("http://127.0.0.1:9"), Pictures(str(folder), {}), Plan(1, 1), nothing)


def test_one_that_goes_away_is_counted(folder):
    server = Server("http://127.0.0.1:9", model="pets")
    outcome = simulate(server, Pictures(str(folder), {}), Plan(50, 1), nothing)
    assert set(outcome.tallies) == {"no answer"}
    assert outcome.failures == outcome.requests == outcome.reasons["no answer"] > 0
    assert (outcome.scores, outcome.labels) == ({}, set())


def test_each_request_is_a_row(folder):
    (folder / "dog").mkdir()
    (folder / "dog" / "0.png").write_bytes(encode(picture(9), "PNG"))
    pictures = Pictures(str(folder), {}, Drift("blur", 0.5))
    server = Predictors()
    with server as url:
        outcome = simulate(Server(url), pictures, Plan(rate=100, seconds=1), nothing)
    rows = list(csv.DictReader(outcome.csv().splitlines()))
    assert len(rows) == outcome.requests
    assert {row["prediction_id"] for row in rows if row["seconds"]} < set(server.ids)
    assert len(set(server.ids)) == len(server.ids)
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    strengths = [float(row["strength"]) for row in rows]
    assert 0 <= min(strengths) < 0.2 < max(strengths) <= 0.5
    for row in rows:
        assert row["path"] in {"real/0.jpg", "real/1.jpg", "real/2.jpg", "dog/0.png"}
        assert (row["folder"], row["label"]) == (str(folder), row["path"].split("/")[0])
        assert row["drift"] == "blur"
        told = [row[name] for name in ("predictor", "status", "answer", "confidence", "version")]
        assert told in (["v1", "200", "real", "0.75", "7"], ["v2", "500", "", "", ""])
    assert outcome.labels == {"real", "fake"}
    assert set(outcome.scores) == {"real"}, "of a dog the model has no label"
    assert outcome.scores["real"].right == outcome.scores["real"].answers > 0


@pytest.mark.parametrize("told", [({}, b"{}"), ({HEADER: "2"}, b"{}"), answer("label"), ({HEADER: "x"}, b"")])
def test_an_answer_that_says_nothing_is_a_failure(folder, told):
    with Predictors(told) as url:
        outcome = simulate(Server(url), Pictures(str(folder), {}), Plan(50, 1), nothing)
    assert outcome.failures == outcome.requests > 0
    assert set(outcome.reasons) == {"200", "500"}


def test_a_thread_may_ask_and_another_end_it(folder):
    found, stop = [], threading.Event()
    server = Predictors()

    def ask(url):
        pictures = Pictures(str(folder), {})
        found.append(simulate(Server(url), pictures, Plan(50, 600), nothing, stop=stop))

    with server as url:
        thread = threading.Thread(target=ask, args=(url,))
        thread.start()
        until(lambda: len(server.bodies) > 5)
        stop.set()
        thread.join(60)
    assert found[0].requests == len(server.bodies)


def test_images_that_cannot_be_read_any_more_end_it_with_the_reason(folder, monkeypatch):
    def gone(_):
        raise BonafideError("the bucket is away")

    pictures = Pictures(str(folder), {})
    monkeypatch.setattr(pictures, "content", gone)
    with Predictors() as url, pytest.raises(BonafideError, match="the bucket is away"):
        simulate(Server(url), pictures, Plan(50, 600), nothing)


def columns(told):
    """Each row of the printed tables."""
    return [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in told.splitlines() if line.startswith("│")
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_and_writes_also_after_a_signal(folder, tmp_path, number):
    out, server = tmp_path / "made" / "requests.csv", Predictors()

    def end():
        until(lambda: len(server.bodies) > 20)
        os.kill(os.getpid(), number)

    with server as url, ThreadPoolExecutor(1) as pool:
        pool.submit(end)
        options = ("--images", folder, "--rate=40", "--seconds=600", "--mix=real=1", "--drift=blur")
        told = bonafide("simulate", url, *options, "--out", out)
    found = {name: cells for name, *cells in columns(told)}
    assert found["v1"][1] == "0"
    assert found["v1"][2].endswith(" ms")
    assert found["v2"][0] == found["v2"][1]
    assert found["v2"][2] == "–"
    assert f"failed: {found['v2'][0]} × 500" in told
    assert found["real"] == found["all"] == [found["v1"][0], "100.0%"]
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert len(rows) == int(found["v1"][0]) + int(found["v2"][0])


def test_sub_folders_that_are_no_labels_give_no_accuracy(folder):
    (folder / "real").rename(folder / "dog")
    with Predictors() as url:
        told = bonafide("simulate", url, "--images", folder, "--rate=40", "--seconds=1")
    assert "have nothing in common: dog and fake, real" in told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--drift=new-generator"], "--drift new-generator needs --drifted-images"),
        (["--drift=label-shift"], "--drift label-shift needs --drifted-mix"),
        (["--drifted-mix=real=1"], "--drifted-mix is of --drift label-shift only"),
        (["--feedback=0.5"], "name the service API that does: --feedback-url"),
        (["--confirm"], "say for what share: --feedback"),
        (["--drift=shift"], "--drift shift needs --shift"),
        (["--shift=width=1"], "--shift is of --drift shift only"),
        (["--shift=width"], "'width' is no shift; write it as petal_length=2"),
        (["--shift=width=nan"], "'width=nan' is no shift"),
        (["--drift=shift", "--shift=width=1"], "--drift shift does not change images"),
        (["--rows=rows.csv"], "--images FOLDER, or --rows FILE"),
        (["--feedback-url=http://127.0.0.1:9"], "say for what share: --feedback"),
        (["--feedback=1", "--api=service", "--confirm"], r"--store, or \$BONAFIDE_STORE"),
    ],
)
def test_options_that_miss_others_are_told(folder, monkeypatch, options, told):
    monkeypatch.delenv("BONAFIDE_STORE", raising=False)
    with pytest.raises(ConfigError, match=told):
        bonafide("simulate", "http://127.0.0.1:9", "--images", folder, *options)


def test_a_token_that_is_none_is_told_but_not_shown(folder, monkeypatch):
    monkeypatch.setenv("BONAFIDE_API_TOKEN", "secret\tword")
    with pytest.raises(ConfigError, match="BONAFIDE_API_TOKEN is no token") as error:
        bonafide("simulate", "http://127.0.0.1:9", "--images", folder)
    assert "secret" not in str(error.value)


def test_an_address_that_is_none_is_told(folder):
    with pytest.raises(ConfigError, match="is no address"):
        simulate(Server("http://x:port", model="pets"), Pictures(str(folder), {}), Plan(1, 1), nothing)
