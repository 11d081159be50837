"""A delivery folder with tiny packages, and the command that serves it as a process of its own."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest

from bonafide.delivery.manifests import inference_service, to_yaml
from bonafide.files import write_text
from tests import packages
from tests.patience import PATIENCE_SECONDS

TASK = "authenticity"


class Delivery:
    """What runs in ``dev``; versions 1 to 3 have packages, ``bad`` has one that was changed."""

    def __init__(self, folder: Path, made: Path) -> None:
        self.folder = folder
        self.packages = made
        self.public_key = made / "keys" / "signing.pub"
        self.manifest = folder / "environments" / "dev" / TASK / "inferenceservice.yaml"

    def write(self, stable: str, **canaries: int) -> None:
        """``v2=10`` gives 10 % to version 2."""
        content = self.service(stable)
        content["spec"]["canary"] = [
            {"trafficPercent": percent, "predictor": self.service(name[1:])["spec"]["predictor"]}
            for name, percent in canaries.items()
        ]
        write_text(self.manifest, to_yaml(content))

    def service(self, version: str) -> dict:
        return inference_service(TASK, version, (self.packages / version).as_uri(), "bonafide-dev")


class Running:
    """The command's process: its address, and the sentences that it prints."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process
        self.url = ""
        self.log: list[str] = []
        self._said: queue.Queue[str] = queue.Queue()
        for stream, take in ((process.stdout, self._said.put), (process.stderr, self.log.append)):
            threading.Thread(target=lambda s=stream, t=take: [t(line) for line in s], daemon=True).start()

    def said(self) -> str:
        """The next change of the percents."""
        head, _, self.url = self._said.get(timeout=PATIENCE_SECONDS).strip().rpartition("  at ")
        return head.removeprefix(f"serving {TASK} of dev: ")

    def wait_for(self, percents: str) -> None:
        while self.said() != percents:
            pass

    def logged(self, message: str) -> list[dict]:
        lines = [json.loads(line) for line in self.log if line.startswith("{")]
        return [line for line in lines if message in line["message"]]

    def children(self) -> list[int]:
        return list(
            map(int, Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split())
        )


@pytest.fixture(scope="session")
def pool(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    for number in (1, 2, 3):
        packages.make(folder, str(number), sharpness=1.0 + number, task=TASK)
    bad = packages.make(folder, "4", task=TASK)
    (bad.path / "gate.json").write_text('{"promote": true}')
    return folder


@pytest.fixture
def delivered(tmp_path, pool) -> Delivery:
    return Delivery(tmp_path / "delivery", pool)


@pytest.fixture
def deliver(delivered):
    """Starts the command, and ends it after the test."""
    with contextlib.ExitStack() as stack:

        def start(*options: str, place: str = "") -> Running:
            command = [
                sys.executable,
                "-m",
                "bonafide",
                "deliver",
                "--local",
                "--http-port=0",
                "--scrape-seconds=0.2",
            ]
            process = subprocess.Popen(
                [*command, f"--public-key={delivered.public_key}", *options],
                env=os.environ | {"BONAFIDE_DELIVERY": place or str(delivered.folder)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            stack.callback(end, process)
            return Running(process)

        yield start


def end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def body() -> dict:
    tensor = {"name": "pixels", "shape": [1, 8, 8, 3], "datatype": "UINT8", "data": [200, 30, 30] * 64}
    return {"inputs": [tensor]}


def ask(client: httpx.Client | str, headers: dict | None = None) -> httpx.Response:
    if isinstance(client, str):
        with httpx.Client(base_url=client, timeout=30) as fresh:
            return ask(fresh, headers)
    return client.post(f"/v2/models/{TASK}/infer", json=body(), headers=headers)
