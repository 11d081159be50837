"""What is no HTTP, or HTTP that lies about itself: sent as bytes, answered with 4xx or by closing."""

import random
from collections.abc import Iterator
from typing import NamedTuple

HOST = b"Host: a\r\n"
NOWHERE = b"POST /v2/nowhere HTTP/1.1\r\n" + HOST


class Raw(NamedTuple):
    kind: str
    content: bytes


def corpus(seed: int) -> list[Raw]:
    chance = random.Random(seed)
    return [request for make in (lines, headers, bodies, noise) for request in make(chance)]


def lines(_: random.Random) -> Iterator[Raw]:
    for line in (
        b"GET",
        b"GET /v2 HTTP",
        b"GET /v2 HTTP/9.9",
        b"GET /v2 HTTP/1.1.1",
        b"GET /v2 FTP/1.1",
        b"GET  HTTP/1.1",
        b"GET /v2\0 HTTP/1.1",
        b"GET /v2 /v2 HTTP/1.1",
        b"G\xc3\x89T /v2 HTTP/1.1",
        b"get /v2 HTTP/1.1",
        b"GET\t/v2\tHTTP/1.1",
        b"CONNECT a:1 HTTP/1.1",
        b"GET http://other/v2/nowhere HTTP/1.1",
        b"GET /" + b"a" * 40_000 + b" HTTP/1.1",
        b"GET /?" + b"a=1&" * 10_000 + b" HTTP/1.1",
        b"A" * 70_000,
        b"PRI * HTTP/2.0",
    ):
        yield Raw("request line", line + b"\r\n" + HOST + b"\r\n")
    yield Raw("request line", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100))
    yield Raw("request line", b"\r\n" * 20_000)


def headers(_: random.Random) -> Iterator[Raw]:
    for header in (
        b"no colon",
        b": no name",
        b"a b: c",
        b"a\0b: c",
        b"a: \0",
        b"Content-Length: -1",
        b"Content-Length: x",
        b"Content-Length: 1, 2",
        b"Content-Length: 99999999999999999999999",
        b"Content-Length: 0x10",
        b"Content-Length: 1\r\nContent-Length: 2",
        b"Content-Length: 4\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: \x0bchunked",
        b"a: " + b"b" * 40_000,
        b"\r\n".join(b"h%d: v" % number for number in range(10_000)),
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13",
        b"Content-Length: 70000000\r\nExpect: 100-continue",
    ):
        yield Raw("header", NOWHERE + header + b"\r\n\r\n")
    for size in (b"68000000", b"9999999999999"):
        yield Raw(
            "claims a large body",
            b"POST /v2/models/colour/infer HTTP/1.1\r\n" + HOST + b"Content-Length: " + size + b"\r\n\r\n",
        )


def bodies(_: random.Random) -> Iterator[Raw]:
    chunked = b"POST /v2/models/colour/infer HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    for body in (
        b"x\r\n",
        b"-1\r\n",
        b"ffffffffffffffffff\r\n",
        b"5\r\nabc",
        b"2\r\nabcdef\r\n0\r\n\r\n",
        b"5;" + b"e" * 70_000 + b"\r\n",
        b"0\r\n" + b"t: " + b"b" * 70_000 + b"\r\n\r\n",
        b"0\r\nno colon\r\n\r\n",
    ):
        yield Raw("chunk", chunked + body)
    smuggled = b"0\r\n\r\nGET /v2/nowhere HTTP/1.1\r\n" + HOST + b"\r\n"
    yield Raw("chunk", chunked + smuggled)
    yield Raw("pipeline", (b"GET /v2/nowhere HTTP/1.1\r\n" + HOST + b"\r\n") * 200)


def noise(chance: random.Random) -> Iterator[Raw]:
    for _ in range(60):
        yield Raw("noise", chance.randbytes(chance.randint(1, 300)) + b"\r\n\r\n")
    whole = b"POST /v2/nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
    for _ in range(60):
        at = chance.randrange(20)
        yield Raw("noise", whole[:at] + chance.randbytes(3) + whole[at:])
