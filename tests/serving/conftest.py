import re
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import NamedTuple

import httpx
import pytest

from bonafide.feedback.store import Store
from bonafide.serving.compute.scheduler import Capacity, Scheduler
from bonafide.serving.models.predictor import Predictor
from bonafide.serving.models.versions import Models
from tests import packages
from tests.serving.live import Slow

COMMAND = [sys.executable, "-c", "import typer; from bonafide.cli.serve import serve; typer.run(serve)"]


class Server(NamedTuple):
    url: str
    grpc: str
    process: subprocess.Popen
    seconds: float


def start(signed: packages.Signed, *options: str) -> Server:
    """The real server as a child process on free ports, once it says that it is ready."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [
            *COMMAND,
            signed.path,
            "--public-key",
            signed.public_key,
            "--http-port=0",
            "--grpc-port=0",
            *options,
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    addresses = re.search(r"REST at (http://\S+), gRPC at (\S+)", line)
    assert addresses, f"the server said {line!r} and exited with {process.poll()}"
    assert httpx.get(f"{addresses[1]}/v2/health/ready").json() == {"ready": True}
    return Server(addresses[1], addresses[2], process, time.perf_counter() - begin)


@pytest.fixture
def store(tmp_path):
    made = Store(f"sqlite:///{tmp_path}/store.db")
    made.database.check()
    return made


@contextmanager
def running(signed):
    """A server of version 7, as long as it is wanted."""
    server = start(signed, "--version", "7")
    yield server
    server.process.terminate()
    server.process.wait(30)


@pytest.fixture(scope="session")
def server(signed):
    with running(signed) as server:
        yield server


@pytest.fixture(scope="session")
def fruit_server(fruit):
    with running(fruit) as server:
        yield server


@pytest.fixture
def http(server):
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture
def models(engine):
    """Versions 6 and 7 of ``colour``; 7 is the default."""
    scheduler = Scheduler(Capacity.of(1))
    models = Models()
    for version in ("6", "7"):
        predictor = Predictor(engine, scheduler, version)
        predictor.load()
        models.add(predictor)
    yield models
    scheduler.close()


@pytest.fixture
def slow(models):
    """A model beside ``colour`` that answers once told."""
    model = Slow(models.get("colour").info)
    models.add(model)
    yield model
    models.remove("slow")
