"""Training by HTTP, as a caller sees it: neither the end of the service nor a kill loses a run."""

import os
import signal
import subprocess
from contextlib import contextmanager
from threading import Thread

import httpx
import pytest
import yaml

from bonafide.task import load_task
from tests.patience import until
from tests.pipelines.test_local import LENIENT, SMALL
from tests.serving.api.test_server import command, running

pytestmark = pytest.mark.e2e

SECRET = {"BONAFIDE_API_SECRET": "s" * 40}
PATH = "/pipelines/training/runs"
PATIENCE_SECONDS = 240


@pytest.fixture
def service(signed, tmp_path, monkeypatch):
    """Starts the service anew for a client; in its folder is one task, small enough for seconds."""
    monkeypatch.chdir(tmp_path)
    task = load_task("authenticity", ["name=small", *SMALL.split(), *LENIENT.split()])
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "small.yaml").write_text(yaml.safe_dump(task.model_dump(mode="json")))
    told = command("api-token", "anna", "--scope", "train", **SECRET)
    bearer = {"authorization": f"Bearer {told.stdout.strip()}"}

    @contextmanager
    def start():
        options = ("--public-key", signed.public_key, "--pipelines", "local")
        with running(signed.path, *options, **SECRET, OMP_NUM_THREADS="1") as (address, process):
            Thread(target=process.stderr.read, daemon=True).start()  # or its log fills the pipe
            yield address, process

    def ask(address: str, path: str = "", **asked) -> dict:
        method = "POST" if asked or path.endswith("cancel") else "GET"
        response = httpx.request(
            method, address + PATH + path, headers=bearer, json=asked or None, timeout=60
        )
        response.raise_for_status()
        return response.json()

    return start, ask


def is_training(run: dict) -> bool:
    return any(step["name"] == "train" for step in run["steps"])


def workers() -> list[int]:
    """The processes that perform runs of the task."""
    found = subprocess.run(["pgrep", "-f", "bonafide pipeline work small"], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def has_ended(run: dict) -> bool:
    return run["state"] not in ("queued", "running")


def test_runs_are_performed_whatever_happens_to_the_service(service):
    start, ask = service
    with start() as (address, process):
        first = ask(address, task="small")["id"]
        second = ask(address, task="small", settings={"model.dropout": 0.1})["id"]
        until(lambda: ask(address, f"/{first}"), is_training, PATIENCE_SECONDS)
        assert ask(address, f"/{second}")["state"] == "queued"
        worker = workers()
        process.kill()
    with start() as (address, _):
        ended = until(lambda: ask(address, f"/{first}"), has_ended, PATIENCE_SECONDS)
        assert (ended["state"], ended["promoted"], ended["attempts"]) == ("succeeded", True, 1), ended
        assert [step["name"] for step in ended["steps"]][-2:] == ["promote", "report"]
        assert workers() == worker

        until(lambda: ask(address, f"/{second}"), is_training, PATIENCE_SECONDS)
        third = ask(address, task="small", settings={"model.dropout": 0.2})["id"]
        ask(address, f"/{second}/cancel")
        assert until(lambda: ask(address, f"/{second}"), has_ended, PATIENCE_SECONDS)["state"] == "cancelled"

        until(lambda: ask(address, f"/{third}"), is_training, PATIENCE_SECONDS)
        os.killpg(workers()[0], signal.SIGKILL)
        ended = until(lambda: ask(address, f"/{third}"), has_ended, PATIENCE_SECONDS)
        assert (ended["state"], ended["promoted"], ended["attempts"]) == ("succeeded", True, 2), ended
        assert next(step for step in ended["steps"] if step["name"] == "ingest")["cached"]
