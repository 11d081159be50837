"""The command as a process, its predictors and its samples."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path

import httpx
import pytest

from bonafide.delivery.local.scraping import NAMES
from bonafide.delivery.manifests import to_yaml
from bonafide.delivery.rollout.recorded import Recorded
from bonafide.errors import DeliveryError
from tests.clients import Clients
from tests.delivery.local.conftest import TASK, ask, body
from tests.patience import PATIENCE_SECONDS, until

pytestmark = pytest.mark.e2e


class Load(Clients):
    """What three clients of an address have seen."""

    def __init__(self, url: str) -> None:
        super().__init__([partial(self._ask, url)] * 3)
        self.statuses: Counter[int | str] = Counter()
        self.predictors: Counter[str] = Counter()

    def wait_for(self, name: str) -> None:
        known = self.predictors[name]
        until(lambda: self.predictors[name] > known + 20)

    def _ask(self, url: str) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            while not self.stopped.is_set():
                try:
                    answer = ask(client)
                except httpx.HTTPError as error:
                    self.statuses[repr(error)] += 1
                    return
                self.statuses[answer.status_code] += 1
                self.predictors[answer.headers["x-bonafide-predictor"]] += 1


def test_no_request_is_lost_while_a_canary_climbs_and_takes_over(delivered, deliver):
    delivered.write("1")
    running = deliver()
    assert running.said() == "v1 100 %"
    with Load(running.url) as load:
        load.wait_for("v1")
        delivered.write("1", v2=50)
        running.wait_for("v1 50 %, v2 50 %")
        load.wait_for("v2")
        delivered.write("2")
        running.wait_for("v2 100 %")
        load.wait_for("v2")
        delivered.write("3")
        running.wait_for("v3 100 %")
        load.wait_for("v3")
    assert set(load.statuses) == {200}, load.statuses
    assert set(load.predictors) == {"v1", "v2", "v3"}
    until(lambda: len(running.children()) == 1)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(PATIENCE_SECONDS) == 0


def test_requests_are_divided_by_weight_and_recorded(delivered, deliver, own_home):
    delivered.write("1", v2=30)
    running = deliver()
    running.wait_for("v1 70 %, v2 30 %")
    recorded = Recorded("dev", TASK, own_home / "samples.db")

    def growth() -> dict[str, float]:
        """Since the first scrape of each predictor."""
        try:
            series = recorded.read("bonafide_requests_total", 0, time.time())
        except DeliveryError:  # nothing is recorded yet
            return {}
        ok = {"protocol": "rest", "outcome": "ok"}
        found = [each for each in series if ok.items() <= each.labels.items()]
        return {each.predictor: each.values[-1] - each.values[0] for each in found}

    until(lambda: set(growth()) == {"v1", "v2"})
    with httpx.Client(base_url=running.url, timeout=30) as client:
        seen = Counter(ask(client).headers["x-bonafide-predictor"] for _ in range(300))
        assert sum(seen.values()) == 300
        assert 30 < seen["v2"] < 150
        for name in ("v1", "v2"):
            answer = ask(client, {"x-bonafide-predictor": name})
            assert answer.headers.get_list("x-bonafide-predictor") == [name]
            assert answer.json()["model_version"] == name[1:]
        unknown = ask(client, {"x-bonafide-predictor": "v9"})
        assert unknown.status_code == 400
        assert unknown.json() == {"error": "no predictor 'v9' runs; v1, v2 do"}
        none = client.get("/v2/models/none")
        assert none.status_code == 404
        assert "no model 'none'" in none.json()["error"]

    until(lambda: sum(growth().values()) == 302)
    assert growth()["v2"] == seen["v2"] + 1
    now = time.time()
    for metric in NAMES:
        assert {each.predictor for each in recorded.read(metric, now - 60, now)} == {"v1", "v2"}, metric


def test_a_canary_that_is_refused_gets_nothing_and_a_bad_manifest_changes_nothing(delivered, deliver):
    delivered.write("1", v4=50)
    running = deliver()
    assert running.said() == "v1 100 %"
    until(lambda: running.logged("a predictor does not run"))
    [told] = running.logged("a predictor does not run")
    assert (told["predictor"], told["version"]) == ("v4", "4")
    assert "gate.json was changed" in told["reason"]
    assert {ask(running.url).headers["x-bonafide-predictor"] for _ in range(20)} == {"v1"}
    for content in ("spec: {predictor", to_yaml(delivered.service("1")).replace("spec:", "other:")):
        known = len(running.logged("cannot be followed"))
        delivered.manifest.write_text(content)
        until(lambda known=known: len(running.logged("cannot be followed")) > known)
        assert ask(running.url).headers["x-bonafide-predictor"] == "v1"
    delivered.write("1", v2=60, v3=50)
    until(lambda: "110 in sum; give 100 or less" in running.logged("cannot be followed")[-1]["message"])
    delivered.write("1", v2=10)
    assert running.said() == "v1 90 %, v2 10 %"


def test_a_predictor_that_dies_is_started_again(delivered, deliver):
    delivered.write("1")
    running = deliver()
    running.wait_for("v1 100 %")
    [first] = running.children()
    os.kill(first, signal.SIGKILL)
    until(lambda: ask(running.url).status_code == 503)
    answer = ask(running.url)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json() == {"error": "the stable predictor is not ready"}
    until(lambda: ask(running.url).status_code == 200)
    assert running.children() != [first]
    assert "it ended with code -9" in running.logged("a predictor does not run")[0]["reason"]
    pods = [line["pod"] for line in running.logged("a predictor is ready")]
    assert len(set(pods)) == 2


def test_sticky_requests_stay_with_their_predictor(delivered, deliver):
    delivered.write("1", v2=50)
    running = deliver("--sticky")
    running.wait_for("v1 50 %, v2 50 %")
    with httpx.Client(base_url=running.url, timeout=30) as client:

        def asked(number: int) -> str:
            return ask(client, {"x-request-id": f"caller-{number}"}).headers["x-bonafide-predictor"]

        first = [asked(number) for number in range(30)]
        assert set(first) == {"v1", "v2"}
        assert [asked(number) for number in range(30)] == first


def test_an_address_is_followed_by_its_commits(delivered, deliver, tmp_path):
    bare, clone = tmp_path / "delivery.git", delivered.folder
    git("init", "--quiet", "--bare", "--initial-branch=main", bare)
    git("clone", "--quiet", bare, clone)

    def push(stable: str) -> None:
        delivered.write(stable)
        git("-C", clone, "add", ".")
        git("-C", clone, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", stable)
        git("-C", clone, "push", "--quiet", "origin", "HEAD:main")

    push("1")
    running = deliver("--every=1", place=bare.as_uri())
    assert running.said() == "v1 100 %"
    push("2")
    assert running.said() == "v2 100 %"


def git(*arguments: object) -> None:
    subprocess.run(["git", *map(str, arguments)], check=True, capture_output=True)


def test_a_kill_takes_the_predictors_with_it(delivered, deliver):
    delivered.write("1")
    running = deliver()
    running.wait_for("v1 100 %")
    children = running.children()
    assert children
    running.process.kill()
    until(lambda: not any(map(lives, children)))


def lives(process: int) -> bool:
    try:
        return "Z" not in Path("/proc", str(process), "stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_told_to_stop_it_finishes_what_has_begun(delivered, deliver):
    delivered.write("1")
    running = deliver()
    running.wait_for("v1 100 %")
    content = json.dumps(body()).encode()
    sent, answers = threading.Event(), []

    def slowly():
        yield content[:100]
        sent.wait(PATIENCE_SECONDS)
        yield content[100:]

    url = f"{running.url}/v2/models/{TASK}/infer"
    client = threading.Thread(target=lambda: answers.append(httpx.post(url, content=slowly(), timeout=30)))
    client.start()
    time.sleep(0.5)
    children = running.children()
    running.process.send_signal(signal.SIGTERM)
    until(lambda: refused(running.url))
    sent.set()
    client.join(PATIENCE_SECONDS)
    assert running.process.wait(PATIENCE_SECONDS) == 0
    assert answers[0].json()["outputs"][0]["data"] == ["red"]
    assert not any(map(lives, children))


def refused(url: str) -> bool:
    try:
        httpx.get(f"{url}/v2/health/live")
    except httpx.ConnectError:
        return True
    return False


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--local"], "nothing is in service for authenticity in dev; train a model first"),
        (["--local", "--env=nowhere"], "nothing is in service for authenticity in nowhere"),
        ([], "in a cluster Argo CD delivers (argocd/); on this machine: bonafide deliver --local"),
    ],
)
def test_what_cannot_be_served_is_told(options, said):
    command = [sys.executable, "-m", "bonafide", "deliver", "--http-port=0", *options]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in " ".join(ended.stderr.split())
