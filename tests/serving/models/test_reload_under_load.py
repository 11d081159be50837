"""Versions change while clients ask; every request is answered, by the version that it names."""

import os
import shutil
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

import grpc
import httpx
import numpy as np
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from tests import packages
from tests.clients import Clients
from tests.patience import until
from tests.serving.conftest import start

pytestmark = pytest.mark.e2e

REQUESTS = 10_000
VERSIONS = 7
BAD_BEFORE = ("4", "6")
WATCH_SECONDS = 0.2
PATIENCE_SECONDS = 120
SIDE = 8


@dataclass
class Client:
    """What one connection has seen."""

    seconds: list[float] = field(default_factory=list)
    versions: Counter = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def sharpness(version: str) -> float:
    return 1.0 + int(version)


def pixels(random: np.random.Generator) -> np.ndarray:
    return np.broadcast_to(random.integers(0, 256, 3, dtype=np.uint8), (1, SIDE, SIDE, 3))


def ask_rest(url: str):
    with httpx.Client(base_url=url, timeout=30) as client:
        image = yield
        while True:
            tensor = {
                "name": "pixels",
                "shape": image.shape,
                "datatype": "UINT8",
                "data": image.ravel().tolist(),
            }
            reply = client.post("/v2/models/colour/infer", json={"inputs": [tensor]})
            reply.raise_for_status()
            answer = reply.json()
            values = next(output for output in answer["outputs"] if output["name"] == "probabilities")
            image = yield answer["model_version"], np.array(values["data"])


def ask_grpc(address: str):
    with grpc.insecure_channel(address) as channel:
        stub = GRPCInferenceServiceStub(channel)
        image = yield
        while True:
            request = pb.ModelInferRequest(model_name="colour", raw_input_contents=[image.tobytes()])
            request.inputs.add(name="pixels", datatype="UINT8", shape=image.shape)
            answer = stub.ModelInfer(request, timeout=30)
            index = [output.name for output in answer.outputs].index("probabilities")
            if answer.raw_output_contents:
                values = np.frombuffer(answer.raw_output_contents[index], np.float32)
            else:
                values = np.array(answer.outputs[index].contents.fp32_contents)
            image = yield answer.model_version, values


class Load(Clients):
    """Clients of both protocols, each on a connection of its own."""

    def __init__(self, url: str, address: str) -> None:
        conversations = [ask_rest(url), ask_rest(url), ask_rest(url), ask_grpc(address), ask_grpc(address)]
        self.clients = [Client() for _ in conversations]
        super().__init__(
            partial(self._ask, conversation, client, seed)
            for seed, (conversation, client) in enumerate(zip(conversations, self.clients, strict=True))
        )

    def asked(self) -> int:
        return len(self.seconds())

    def seconds(self) -> list[float]:
        return [second for client in self.clients for second in client.seconds]

    def versions(self) -> Counter:
        return sum((client.versions for client in self.clients), Counter())

    def failures(self) -> list[str]:
        return [failure for client in self.clients for failure in client.failures]

    def wait(self, condition) -> None:
        """Until all is as it should be, or something failed."""
        until(lambda: condition() or self.failures(), seconds=PATIENCE_SECONDS)

    def wait_for_answers_of(self, version: str) -> None:
        self.wait(lambda: all(client.versions[version] for client in self.clients))

    def wait_for_more(self, requests: int) -> None:
        enough = self.asked() + requests
        self.wait(lambda: self.asked() >= enough)

    def _ask(self, conversation, client: Client, seed: int) -> None:
        random = np.random.default_rng(seed)
        with closing(conversation):
            next(conversation)
            while not self.stopped.is_set():
                image, begun = pixels(random), time.perf_counter()
                try:
                    version, answer = conversation.send(image)
                except Exception as error:  # noqa: BLE001  (every failure counts)
                    client.failures.append(repr(error))
                    return
                client.seconds.append(time.perf_counter() - begun)
                client.versions[version] += 1
                expected = packages.probabilities(image, sharpness(version))[0]
                if np.abs(answer - expected).max() > 1e-4:
                    client.failures.append(f"{version} answered {answer}, not {expected}")


def refusals(url: str) -> int:
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    told = [line for line in lines if line.startswith("bonafide_model_loads_total") and "refused" in line]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in told)


def megabytes(process: int) -> float:
    with open(f"/proc/{process}/statm") as pages:
        return int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def figures(load: Load, seconds: float, before: float, after: float) -> str:
    milliseconds = 1000 * np.array(load.seconds())
    return (
        f"\n{load.asked():,} requests in {seconds:.1f} s on {len(load.clients)} connections, REST and gRPC, "
        f"{len(load.failures())} failed; {VERSIONS - 1} changes, {len(BAD_BEFORE)} bad packages refused; "
        f"p50 {np.median(milliseconds):.1f} ms, p99 {np.percentile(milliseconds, 99):.1f} ms, "
        f"worst {milliseconds.max():.1f} ms; {before:.0f} MB before, {after:.0f} MB after; "
        f"by version {dict(sorted(load.versions().items()))}\n"
    )


@pytest.fixture
def publish(tmp_path):
    """Copies a package into the folder of versions, file by file, as a slow upload would."""

    def publish_version(version: str, bad: bool = False) -> packages.Signed:
        made = packages.make(tmp_path / "pool", version, sharpness(version))
        if bad:
            (made.path / "MODEL_CARD.md").write_text("# Another\n")
        target = tmp_path / "versions" / version
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(made.path, target)
        return made._replace(path=target.parent)

    return publish_version


def test_no_request_fails_while_versions_change(publish, capsys):
    server = start(publish("1"), f"--watch={WATCH_SECONDS}")
    begun = time.perf_counter()
    try:
        with Load(server.url, server.grpc) as load:
            load.wait_for_answers_of("1")
            before = megabytes(server.process.pid)
            for version in map(str, range(2, VERSIONS + 1)):
                if version in BAD_BEFORE:
                    known = refusals(server.url)
                    publish(version, bad=True)
                    load.wait(lambda known=known: refusals(server.url) > known)
                    assert not load.versions()[version]
                publish(version)
                load.wait_for_answers_of(version)
                load.wait_for_more(REQUESTS // VERSIONS)
            load.wait(lambda: load.asked() >= REQUESTS)
            after, refused = megabytes(server.process.pid), refusals(server.url)
    finally:
        server.process.terminate()
        assert server.process.wait(30) == 0
    with capsys.disabled():
        sys.stdout.write(figures(load, time.perf_counter() - begun, before, after))
    assert not load.failures()
    assert refused == len(BAD_BEFORE)
    assert load.asked() >= REQUESTS
    for client in load.clients:
        assert set(client.versions) == set(map(str, range(1, VERSIONS + 1)))
