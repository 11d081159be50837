"""Thousands of bad requests by REST, gRPC and raw HTTP to one server, with good ones in between."""

import asyncio
import base64
import gc
import random
import re
import socket
import sys
from collections import Counter
from functools import singledispatchmethod
from urllib.parse import urlsplit

import grpc
import httpx
import numpy as np
import psutil
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from bonafide.serving.compute.scheduler import Capacity, Scheduler
from bonafide.serving.edge.limits import Limits
from bonafide.serving.errors import RequestError
from tests import packages
from tests.serving import hostile, hostile_http, hostile_json, hostile_rpc

SEED = 42
BETWEEN = 50
GROWTH = 2 * Limits().body  # an allocator keeps what one or two of the largest requests took
COLOUR = (250, 20, 30)
EXPECTED = packages.probabilities(np.full((1, packages.SIZE, packages.SIZE, 3), COLOUR, np.uint8))
CODES = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.PERMISSION_DENIED,
}
NO_ANSWER = "closed"


class Client:
    """Sends a request of any protocol; says by which, its status, and whether it was refused as it should."""

    def __init__(self, server):
        self.http = httpx.Client(base_url=server.url, timeout=30)
        self.channel = grpc.insecure_channel(server.grpc, [("grpc.max_send_message_length", -1)])
        self.address = (urlsplit(server.url).hostname, urlsplit(server.url).port)

    @singledispatchmethod
    def send(self, request):
        raise TypeError(request)

    @send.register
    def _(self, request: hostile.Rest):
        headers = [(name.encode(), value.encode("latin-1")) for name, value in request.headers.items()]
        try:
            answer = self.http.request(request.method, request.path, content=request.body, headers=headers)
        except httpx.TransportError as error:
            return "REST", type(error).__name__, False
        told = request.method == "HEAD" or answer.json().get("error")
        return "REST", str(answer.status_code), answer.is_client_error and told

    @send.register
    def _(self, request: hostile_rpc.Rpc):
        call = self.channel.unary_unary(request.method, None, None)
        try:
            call(request.message, timeout=30)
        except grpc.RpcError as error:
            return "gRPC", error.code().name, error.code() in CODES
        return "gRPC", "OK", False

    @send.register
    def _(self, request: hostile_http.Raw):
        with socket.create_connection(self.address, 10) as connection:
            answer = exchange(connection, request.content)
        statuses = re.findall(rb"HTTP/1\.\d (\d+)", answer) or [NO_ANSWER.encode()]
        return "HTTP", statuses[0].decode(), all(re.fullmatch(b"4..|closed", status) for status in statuses)

    def good(self, by_rest: bool) -> np.ndarray:
        image = packages.image(COLOUR)
        if by_rest:
            data = [base64.b64encode(image).decode()]
            asked = {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": data}]}
            answer = self.http.post(hostile.INFER, json=asked).json()
            return next(np.array(output["data"]) for output in answer["outputs"] if output["name"] != "label")
        call = self.channel.unary_unary(
            f"{hostile_rpc.SERVICE}ModelInfer", None, pb.ModelInferResponse.FromString
        )
        answer = call(hostile_rpc.infer([hostile.prefixed(image)]), timeout=30)
        place = [output.name for output in answer.outputs].index("probabilities")
        return np.frombuffer(answer.raw_output_contents[place], np.float32)


def exchange(connection: socket.socket, content: bytes) -> bytes:
    """What the server says until it closes; one that waits for more is told that there is none."""
    received = b""
    try:
        connection.sendall(content)
        connection.settimeout(0.3)
        while True:
            try:
                part = connection.recv(65536)
            except TimeoutError:
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(10)
                continue
            if not part:
                return received
            received += part
    except ConnectionError:
        return received


@pytest.fixture
def client(server):
    client = Client(server)
    yield client
    client.http.close()
    client.channel.close()


def corpus() -> list[tuple]:
    rooms = (hostile, hostile_json, hostile_rpc, hostile_http)
    requests = [request for room in rooms for request in room.corpus(SEED)]
    random.Random(SEED).shuffle(requests)
    return requests


def report(kinds: Counter, statuses: Counter, memory: list[int]) -> None:
    lines = [f"{count:6} {name}" for name, count in [*sorted(statuses.items()), *sorted(kinds.items())]]
    resident = ", ".join(str(round(size / 2**20)) for size in memory)
    total = f"{kinds.total()} bad requests of {len(kinds)} kinds; MiB resident: {resident}"
    sys.stdout.write("\n".join(["", total, *lines, ""]))


@pytest.mark.e2e
def test_no_bad_request_harms_the_server(server, client, capsys):
    requests = corpus()
    process = psutil.Process(server.process.pid)
    memory, kinds, statuses, wrong = [process.memory_info().rss], Counter(), Counter(), []
    for number, request in enumerate(requests):
        if number % BETWEEN == 0:
            assert np.allclose(client.good(number % (2 * BETWEEN) == 0), EXPECTED, atol=1e-4)
        if number == len(requests) // 2:
            memory.append(process.memory_info().rss)
        protocol, status, refused = client.send(request)
        answered = getattr(request, "may_answer", False)
        if not refused and not (answered and status in ("200", "OK")):
            wrong.append((protocol, status, request.kind, str(request)[:300]))
        if not answered:
            kinds[f"{protocol}: {request.kind}"] += 1
            statuses[f"{protocol} {status}"] += 1
    memory.append(process.memory_info().rss)
    with capsys.disabled():
        report(kinds, statuses, memory)
    assert not wrong, "\n".join(map(str, wrong[:40]))
    assert kinds.total() >= 2000
    assert server.process.poll() is None
    assert memory[2] - memory[1] < GROWTH


def test_a_refused_file_is_let_go_at_once(engine):
    """An error that is part of a cycle would keep the file until the garbage collector comes by."""

    async def ask():
        scheduler = Scheduler(Capacity.of(1))
        with pytest.raises(RequestError):
            await scheduler.run(engine, [content], ["probabilities"])
        scheduler.close()

    content = bytes(1000)
    gc.disable()
    before = sys.getrefcount(content)
    try:
        asyncio.run(ask())
        assert sys.getrefcount(content) == before
    finally:
        gc.enable()


@pytest.mark.e2e
def test_large_refused_files_do_not_pile_up(server, client):
    files = [
        next(request for request in room.corpus(SEED) if request.kind == "file too large")
        for room in (hostile, hostile_rpc)
    ]
    process, memory = psutil.Process(server.process.pid), []
    for request in files * 16:
        assert client.send(request)[2]
        memory.append(process.memory_info().rss)
    assert memory[-1] - memory[7] < 2 * GROWTH
