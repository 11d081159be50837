"""Against a real Prometheus, which scrapes an exporter of the test's own."""

import json
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

import numpy as np
import pytest

from bonafide.delivery.rollout.prometheus import Prometheus
from bonafide.errors import DeliveryError
from tests import http_server
from tests.patience import PATIENCE_SECONDS, until

METRIC = "bonafide_requests_total"
WHOSE = {"namespace": "bonafide-dev", "inferenceservice": "pets"}


@contextmanager
def exporter():
    """A counter that grows by one each time it is read."""
    reads = 0

    class Handler(http_server.Handler):
        def answer(self):
            nonlocal reads
            reads += 1
            text = f'# TYPE {METRIC} counter\n{METRIC}{{model="pets",outcome="ok"}} {reads}\n'
            text += f'# TYPE odd gauge\nodd{{kind="none"}} NaN\n{METRIC}_other 1\n'
            self.reply(200, {"Content-Type": "text/plain; version=0.0.4"}, text.encode())

    with http_server.serving(Handler) as url:
        yield url.removeprefix("http://")


@contextmanager
def prometheus(folder, targets):
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed")
    groups = [{"targets": [target], "labels": labels} for target, labels in targets]
    settings = {"global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"}}
    settings["scrape_configs"] = [{"job_name": "predictors", "static_configs": groups}]
    (folder / "prometheus.yml").write_text(json.dumps(settings))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def scraped(tmp_path_factory):
    """Its address, once it has some samples of two pods, of which one belongs to another service."""
    labels = {**WHOSE, "predictor": "v1", "pod": "v1-a"}
    with (
        exporter() as one,
        exporter() as other,
        exporter() as bare,
        prometheus(
            tmp_path_factory.mktemp("prometheus"),
            [
                (one, labels),
                (other, labels | {"inferenceservice": "cars"}),
                (bare, WHOSE | {"inferenceservice": "bare"}),
            ],
        ) as url,
    ):
        until(lambda: samples(url) >= 10)
        yield url


def samples(url):
    try:
        found = Prometheus(url, "bonafide-dev", "pets").read(METRIC, time.time() - 60, time.time())
    except DeliveryError:  # it starts
        return 0
    return len(found[0].times) if found else 0


@pytest.fixture
def asked(scraped):
    return Prometheus(scraped + "/", "bonafide-dev", "pets")


def test_the_samples_are_those_that_were_scraped(asked):
    now = time.time()
    [series] = asked.read(METRIC, now - 60, now)
    assert (series.predictor, series.pod, series.metric) == ("v1", "v1-a", METRIC)
    assert series.labels == {"model": "pets", "outcome": "ok"}
    first = int(series.values[0])
    assert series.values.tolist() == list(range(first, first + len(series.values)))
    assert now - 60 <= series.times[0] < series.times[-1] <= now


def test_a_step_gives_one_value_each(asked):
    now = time.time()
    [series] = asked.read(METRIC, now - 2, now, 0.5)
    assert len(series.times) <= 5
    assert {round(gap, 3) for gap in series.times[1:] - series.times[:-1]} <= {0.5}


def test_a_long_time_is_asked_for_in_parts(asked, monkeypatch):
    """A sample on an edge may come twice, which is no growth."""
    end = time.time()
    [whole] = asked.read(METRIC, end - 60, end)
    questions, ask = [], Prometheus._ask
    monkeypatch.setattr(Prometheus, "_ask", lambda *given: questions.append(given) or ask(*given))
    monkeypatch.setattr("bonafide.delivery.rollout.prometheus.PART_SECONDS", 5.0)
    [parts] = asked.read(METRIC, end - 60, end)
    assert len(questions) == 12
    assert sorted(set(parts.times)) == whole.times.tolist()
    edges = np.array([end - 60, end])
    assert parts.growth(edges).tolist() == whole.growth(edges).tolist() == [len(whole.times) - 1]


def test_what_is_no_number_is_dropped(asked):
    now = time.time()
    assert [len(series.times) for series in asked.read("odd", now - 60, now)] == [0]


def test_what_nobody_scraped_has_no_series(asked):
    now = time.time()
    assert asked.read("bonafide_confidence_bucket", now - 60, now) == []


def test_its_own_words_are_passed_on(asked):
    with pytest.raises(DeliveryError, match=r"answers 400: exceeded maximum resolution of 11,000 points"):
        asked.read(METRIC, 0, time.time(), 1)


def test_series_without_their_predictor_are_told(scraped):
    with pytest.raises(DeliveryError, match=r"without the labels predictor and pod; see infra/monitoring"):
        Prometheus(scraped, "bonafide-dev", "bare").read(METRIC, time.time() - 60, time.time())


def test_one_that_is_away_is_told():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(DeliveryError, match=rf"at http://127.0.0.1:{port} cannot be reached: .*refused"):
        Prometheus(f"http://127.0.0.1:{port}", "a", "b").read(METRIC, 0, 1)


@contextmanager
def saying(status, content):
    """Another server at that address; gives it and the headers that it got."""
    got = []

    class Handler(http_server.Handler):
        def answer(self):
            self.body()
            got.append(dict(self.headers))
            self.reply(status, {}, content)

    with http_server.serving(Handler) as url:
        yield Prometheus(url, "a", "b"), got


@pytest.mark.parametrize(
    ("status", "content", "said"),
    [
        (200, b"<html>", "no JSON of Prometheus"),
        (200, b'{"data": 1}', "no JSON of Prometheus"),
        (
            200,
            b'{"data": {"result": [{"metric": {"predictor": "v1", "pod": "p"}}]}}',
            "cannot be read: KeyError",
        ),
        (403, b"<html>", "answers 403: Forbidden"),
        (503, b'{"status": "error", "error": "TSDB not ready"}', "answers 503: TSDB not ready"),
    ],
)
def test_another_answer_is_told(status, content, said):
    with saying(status, content) as (asked, _), pytest.raises(DeliveryError, match=said):
        asked.read(METRIC, 0, 1)


def test_series_of_one_pod_that_differ_in_where_they_were_scraped_stay_apart(monkeypatch):
    """A pod whose sandbox was made anew has another address; joined, its count would begin twice."""
    monkeypatch.setattr("bonafide.delivery.rollout.prometheus.PART_SECONDS", 60.0)
    target = {"predictor": "v1", "pod": "p", "outcome": "ok"}
    told = [
        {"metric": target | {"instance": instance}, "values": [[time, str(count)]]}
        for instance, time, count in (("10.0.0.12:1", 100, 3), ("10.0.0.9:1", 50, 9000))
    ]
    answer = json.dumps({"data": {"result": told}}).encode()
    with saying(200, answer) as (asked, got):
        series = asked.read(METRIC, 0, 119)
    assert len(got) == 2 and [each.values.tolist() for each in series] == [[3, 3], [9000, 9000]]
    assert sum(each.growth(np.array([0.0, 120.0])).sum() for each in series) == 0


def test_the_token_is_shown_and_never_told(tmp_path, monkeypatch):
    token = tmp_path / "token"
    monkeypatch.setenv("BONAFIDE_PROMETHEUS_TOKEN_FILE", str(token))
    with saying(401, b"{}") as (asked, got):
        with pytest.raises(DeliveryError, match=r"BONAFIDE_PROMETHEUS_TOKEN_FILE is .*which cannot be read"):
            asked.read(METRIC, 0, 1)
        for secret in ("hush", "hush-again"):
            token.write_text(secret + "\n")
            with pytest.raises(DeliveryError, match="401") as caught:
                asked.read(METRIC, 0, 1)
            assert got[-1]["Authorization"] == f"Bearer {secret}"
            assert "hush" not in str(caught.value)


def test_without_a_token_none_is_shown():
    with saying(200, b'{"data": {"result": []}}') as (asked, got):
        assert asked.read(METRIC, 0, 1) == []
    assert "Authorization" not in got[0]
