"""Clients that are slow, greedy or gone, over real sockets."""

import asyncio
import itertools
import json
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bonafide.serving.edge.limits import Limits
from bonafide.telemetry import metrics
from tests import packages
from tests.patience import until_async
from tests.serving.live import listening

LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
RED = packages.image((200, 30, 30))


def post(path: str, body: bytes, *headers: str, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {size}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def infer(*headers, model="colour") -> bytes:
    raw = struct.pack("<I", len(RED)) + RED
    tensor = {
        "name": "image",
        "shape": [1],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(raw)},
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    return post(
        f"/v2/models/{model}/infer", head + raw, f"Inference-Header-Content-Length: {len(head)}", *headers
    )


async def answer(reader) -> tuple[int, dict, bytes]:
    """One response: status, headers, body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    return int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


def errors(reason):
    (family,) = metrics.ERRORS.collect()
    wanted = {"protocol": "rest", "reason": reason, "model": "colour"}.items()
    return sum(
        sample.value
        for sample in family.samples
        if sample.name.endswith("_total") and wanted <= sample.labels.items()
    )


async def exchange(models, limits, *parts, pause=0.0):
    """Send the parts to a fresh server; its first answer, and whether it closed the connection."""
    async with asyncio.timeout(20), listening(models, limits) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        awaited = asyncio.create_task(answer(reader))
        for part in parts:
            if not awaited.done():
                writer.write(part)
                await asyncio.sleep(pause)
        found = await awaited
        closed = found[1].get("connection") == "close" and await reader.read() == b""
        writer.close()
    return found, closed


SMALL = Limits(header=1024, body=4096, header_seconds=0.3, stall_seconds=0.3, upload_seconds=1)
HEAD = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n"
REFUSED = {
    "one long header": (431, "header-too-large", HEAD + b"a: " + b"x" * 2000 + b"\r\n\r\n"),
    "a header without end": (431, "header-too-large", HEAD + b"a: ", *[b"x" * 300] * 4),
    "many headers": (431, "header-too-large", HEAD + b"a: b\r\n" * 300 + b"\r\n"),
    "a long path": (431, "header-too-large", b"GET /" + b"x" * 2000 + b" HTTP/1.1\r\n\r\n"),
    "a path without end": (431, "header-too-large", b"GET /", *[b"x" * 300] * 4),
    "header stops": (408, "timeout", HEAD),
    "no HTTP": (400, "http", b"\x16\x03\x01\x02\x00\x01\x00"),
    "odd version": (400, "http", b"GET / HTTP/9.9\r\n\r\n"),
    "two lengths": (400, "http", HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n"),
    "length and chunked": (400, "http", HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "length no number": (400, "http", HEAD + b"Content-Length: x\r\n\r\n"),
    "path no ascii": (400, "http", b"GET /\xff HTTP/1.1\r\n\r\n"),
    "no path": (400, "http", b"CONNECT x:1 HTTP/1.1\r\n\r\n"),
    "body stops": (408, "timeout", post("/v2/models/colour/infer", b"{", length=99)),
    "chunks stop": (
        408,
        "timeout",
        b"POST /v2/models/colour/infer HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_or_slow_request_is_refused_and_the_connection_closed(models, case):
    status, reason, *parts = REFUSED[case]
    before = errors(reason)
    (found, headers, body), closed = asyncio.run(exchange(models, SMALL, *parts))
    assert (found, headers["content-type"], closed) == (status, "application/json", True)
    assert set(json.loads(body)) == {"error"}
    assert errors(reason) == before + 1


def test_a_body_that_drips_is_refused_in_the_end(models):
    head = b"POST /v2/models/colour/infer HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    (status, _, body), closed = asyncio.run(exchange(models, SMALL, head, *[b"1\r\n{\r\n"] * 9, pause=0.15))
    assert (status, closed) == (408, True)
    assert b"not there within 1 s" in body


@pytest.mark.parametrize("end", [b"5;", b"0\r\na: "], ids=["chunk extension", "trailer"])
def test_what_comes_with_a_body_and_never_ends_is_refused(models, end):
    head = b"POST /v2/models/colour/infer HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    limits = Limits(header=1024, stall_seconds=10)
    (status, _, _), closed = asyncio.run(exchange(models, limits, head + end, *[b"x" * 600] * 6, pause=0.05))
    assert (status, closed) == (431, True)


def test_a_header_that_drips_is_refused_in_the_end(models):
    (status, _, _), closed = asyncio.run(exchange(models, SMALL, *[bytes([x]) for x in HEAD[:8]], pause=0.06))
    assert (status, closed) == (408, True)


@pytest.mark.parametrize("sent", [b"", LIVE, b"\r\n"])
def test_a_silent_connection_is_closed(models, sent):
    limits = Limits(header_seconds=0.2, keep_alive_seconds=0.2)

    async def wait():
        async with asyncio.timeout(20), listening(models, limits) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            return await reader.read()

    assert asyncio.run(wait()).endswith(b'{"live":true}' if sent == LIVE else b"")


def test_a_large_header_within_the_limit_and_a_long_pause_between_requests_are_fine(models):
    limits = Limits(header=4096, header_seconds=0.2, keep_alive_seconds=5)

    async def ask():
        async with asyncio.timeout(20), listening(models, limits) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            found = []
            for _ in range(2):
                writer.write(HEAD + b"a: " + b"x" * 3500 + b"\r\n\r\n")
                found.append((await answer(reader))[0])
                await asyncio.sleep(0.4)
            writer.close()
            return found

    assert asyncio.run(ask()) == [200, 200]


def test_requests_sent_ahead_are_answered_in_order_and_bounded(models):
    async def ask(count):
        async with asyncio.timeout(20), listening(models, Limits(pipelined=5)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write((LIVE + infer()) * count)
            found = [(await answer(reader))[0] for _ in range(2 * count if count < 3 else 1)]
            writer.close()
            return found

    assert asyncio.run(ask(2)) == [200] * 4
    assert asyncio.run(ask(50)) == [400]


OFFER = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
CHUNKED = b'5\r\n{"inp\r\n8\r\nuts":[]}\r\n0\r\n\r\n'


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("offer", [OFFER, ("Connection: Upgrade", "Upgrade: websocket")])
def test_an_offer_to_upgrade_is_passed_over_and_the_body_read(models, offer, apart):
    """As every request of Java's HTTP client is; two on one connection, one of them chunked."""
    path = "/v2/models/colour/infer"
    chunked = post(path, b"", *offer).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    whole = infer(*offer)

    async def ask():
        async with asyncio.timeout(20), listening(models) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            found = []
            for request in (whole, chunked + CHUNKED, LIVE, whole):
                head, body = request.split(b"\r\n\r\n", 1)
                for part in [head + b"\r\n\r\n", body] if apart else [request]:
                    writer.write(part)
                    await asyncio.sleep(0.05)
                found.append(await answer(reader))
            writer.close()
            return found

    first, second, live, last = asyncio.run(ask())
    assert (first[0], second[0], live[0], last[0]) == (200, 400, 200, 200)
    assert b"exactly one" in second[2]


@pytest.mark.parametrize("offer", [(), OFFER])
def test_liveness_is_answered_beyond_the_limit_of_connections_and_nothing_else(models, offer):
    async def ask():
        async with asyncio.timeout(20), listening(models, Limits(connections=2)) as port:
            held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(LIVE)
            live = await answer(reader)
            writer.write(infer(*offer))
            refused = await answer(reader)
            writer.close()
            held += [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
            reader, _ = await asyncio.open_connection("127.0.0.1", port)
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
            for _, writer in held:
                writer.close()
            return live, refused

    before = errors("connections")
    live, (status, headers, _) = asyncio.run(ask())
    assert live[0] == 200
    assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
    assert errors("connections") == before + 1


def test_all_requests_together_hold_a_bounded_number_of_bytes(models):
    limits = Limits(held=20_000)

    async def ask():
        async with asyncio.timeout(20), listening(models, limits) as port:
            first, holder = await asyncio.open_connection("127.0.0.1", port)
            holder.write(post("/v2/models/colour/infer", bytes(8_000), length=8_100))
            await holder.drain()
            await asyncio.sleep(0.2)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(post("/v2/models/colour/infer", bytes(13_000)))
            refused = await answer(reader)
            holder.write(bytes(100))
            done = await answer(first)
            writer.write(infer())
            good = await answer(reader)
            writer.close()
            holder.close()
            return refused, done, good

    before = errors("memory")
    refused, done, good = asyncio.run(ask())
    assert (refused[0], refused[1]["retry-after"]) == (503, "1")
    assert errors("memory") == before + 1
    assert done[0] == 400
    assert good[0] == 200


def test_a_client_that_leaves_gives_up_its_inference(models, slow):
    async def ask():
        async with asyncio.timeout(20), listening(models) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(infer(model="slow"))
            await until_async(lambda: slow.begun)
            assert not slow.cancelled
            writer.close()
            await until_async(lambda: slow.cancelled)

    asyncio.run(ask())


def test_an_inference_cut_off_by_the_end_of_the_server_says_so(models, slow):
    async def ask():
        async with asyncio.timeout(20):
            async with listening(models, Limits(grace_seconds=0)) as port:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(infer(model="slow"))
                await until_async(lambda: slow.begun)
            return await answer(reader)

    status, _, body = asyncio.run(ask())
    assert (status, json.loads(body)) == (503, {"error": "the server stops; ask another"})
    assert slow.cancelled


def test_a_client_that_leaves_within_its_body_is_counted(models):
    async def ask():
        async with asyncio.timeout(20), listening(models) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(post("/v2/models/colour/infer", b"{", length=99))
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.close()
            await until_async(lambda: errors("cancelled") > before)

    before = errors("cancelled")
    asyncio.run(ask())


def test_a_client_that_never_reads_is_cut_off(models):
    limits = Limits(stall_seconds=0.3, keep_alive_seconds=60, pipelined=10**6)

    async def ask():
        async with asyncio.timeout(20), listening(models, limits) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
            with pytest.raises(ConnectionError):
                while True:
                    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
                    await writer.drain()
                    await asyncio.sleep(0.01)

    asyncio.run(ask())


@pytest.mark.parametrize("offer", [b"", "\r\n".join([*OFFER, ""]).encode()])
def test_http_1_0_closes_the_connection_whatever_it_offers(models, offer):
    (status, headers, _), closed = asyncio.run(
        exchange(models, Limits(), HEAD.replace(b"1.1", b"1.0") + offer + b"\r\n")
    )
    assert (status, headers["connection"], closed) == (200, "close", True)


def test_liveness_is_quick_while_the_queue_is_full(models, slow):
    async def ask():
        async with asyncio.timeout(20), listening(models) as port:
            writers = []
            for _ in range(200):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(infer(model="slow"))
                writers.append(writer)
            await until_async(lambda: slow.begun == 200)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(LIVE)
            found = await answer(reader)
            for each in [*writers, writer]:
                each.close()
            await until_async(lambda: slow.cancelled == 200)
            return found

    assert asyncio.run(ask())[2] == b'{"live":true}'


@pytest.mark.e2e
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.sampled_from(["offered", "plain", "live", "chunked"]), min_size=1, max_size=5), st.data())
def test_pipelined_offers_are_answered_in_their_order_wherever_the_bytes_are_cut(models, kinds, data):
    chunked = post("/v2/models/colour/infer", b"", *OFFER).replace(
        b"Content-Length: 0", b"Transfer-Encoding: chunked"
    )
    requests = {"offered": infer(*OFFER), "plain": infer(), "live": LIVE, "chunked": chunked + CHUNKED}
    stream = b"".join(requests[kind] for kind in kinds)
    cuts = sorted(data.draw(st.lists(st.integers(1, len(stream) - 1), max_size=3)))
    parts = [stream[begin:end] for begin, end in itertools.pairwise([0, *cuts, len(stream)])]

    async def ask():
        async with asyncio.timeout(20), listening(models) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0.005)
            found = [(await answer(reader))[0] for _ in kinds]
            writer.close()
            return found

    assert asyncio.run(ask()) == [400 if kind == "chunked" else 200 for kind in kinds]
