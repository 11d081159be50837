"""Bad requests by REST: hostile files, and lies about tensors, encodings and places. None may be answered."""

import base64
import gzip
import itertools
import json
import random
import struct
import zlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from tests import packages
from tests.data.hostile_files import JPEG, PNG, REFUSED, WEBP

GOOD = packages.image((250, 20, 30))
INFER = "/v2/models/colour/infer"
HEADER = "inference-header-content-length"
MEBI = 2**20
UNKNOWN = ("x", "Colour", "colour%20", "colour%00", "%2e%2e", "..%2f..%2fetc%2fpasswd", "%c3%a9", "a" * 5_000)
UNKNOWN += (
    "*",
    "colour%2fversions%2f7x",
    "%252e",
    "colour;a=b",
    "${jndi:ldap:}",
    "'%20or%201=1",
    "null",
    "0",
)
NOWHERE = (
    "/",
    "/v1/models/colour:predict",
    "/v2/",
    "/v2/models/",
    f"{INFER}/",
    f"{INFER}/x",
    "/docs",
    "//v2",
)
NOWHERE += ("/openapi.json", "/v2/models/colour/generate", "/.env", "/v2/health", "/metrics/", "/V2")


class Rest(NamedTuple):
    """One HTTP request. ``may_answer``: a changed file that may have stayed a picture; it is not counted."""

    kind: str
    body: bytes = b""
    headers: Mapping[str, str] = MappingProxyType({})
    path: str = INFER
    method: str = "POST"
    may_answer: bool = False


def text(image: bytes) -> str:
    return base64.b64encode(image).decode()


def question(**changes: Any) -> dict[str, Any]:
    """A good request, but for ``changes`` to its one tensor."""
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [text(GOOD)]}
    return {"inputs": [tensor | changes]}


def pixels(**changes: Any) -> dict[str, Any]:
    tensor = {"name": "pixels", "shape": [1, 8, 8, 3], "datatype": "UINT8", "data": [7] * 192}
    return {"inputs": [tensor | changes]}


def dump(content: Any) -> bytes:
    return json.dumps(content).encode()


def binary(tensor: dict[str, Any], raw: bytes, size: Any = None, length: Any = None) -> dict[str, Any]:
    """Body and headers of a request with a binary tensor, honest unless ``size`` or ``length`` lie."""
    head = dump(
        {"inputs": [tensor | {"parameters": {"binary_data_size": len(raw) if size is None else size}}]}
    )
    return {"body": head + raw, "headers": {HEADER: str(len(head)) if length is None else str(length)}}


def prefixed(*images: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(image)) + image for image in images)


IMAGE = {"name": "image", "shape": [1], "datatype": "BYTES"}
PIXELS = {"name": "pixels", "shape": [1, 8, 8, 3], "datatype": "UINT8"}


def corpus(seed: int) -> list[Rest]:
    chance = random.Random(seed)
    makers = (
        files,
        cut_files,
        changed_files,
        wrong_binary,
        wrong_encodings,
        unknown,
        wrong_methods,
        too_much,
    )
    return [request for make in makers for request in make(chance)]


def _by_turns(kind: str, content: bytes, turn: int, **settings: Any) -> Rest:
    if turn % 2:
        return Rest(kind, dump(question(data=[text(content)])), **settings)
    return Rest(kind, **binary(IMAGE, prefixed(content)), **settings)


def files(_: random.Random) -> Iterator[Rest]:
    for (content, _reason), turn in itertools.product(REFUSED.values(), range(2)):
        yield _by_turns("hostile file", content, turn)
    bad = REFUSED["text"][0]
    yield Rest("hostile file", dump(question(shape=[3], data=[text(GOOD), text(bad), text(GOOD)])))


def cut_files(chance: random.Random) -> Iterator[Rest]:
    for content, turn in itertools.product((JPEG, PNG[:-12], WEBP), range(60)):
        yield _by_turns("cut file", content[: chance.randrange(1, len(content) - 1)], turn)


def changed_files(chance: random.Random) -> Iterator[Rest]:
    for content, turn in itertools.product((JPEG, PNG, WEBP), range(100)):
        changed = bytearray(content)
        for _ in range(chance.randint(1, 6)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        yield _by_turns("changed file", bytes(changed), turn, may_answer=True)


def wrong_binary(chance: random.Random) -> Iterator[Rest]:
    raw = prefixed(GOOD)
    for size in (-1, 0, 1, len(raw) - 1, len(raw) + 1, 2**31, 2**63, 2**64, 10**30, 1.5, True, "9", [], {}):
        yield Rest("wrong binary size", **binary(IMAGE, raw, size=size))
        yield Rest("wrong binary size", **binary(PIXELS, bytes(192), size=size))
    honest = binary(IMAGE, raw)
    lies = (
        "-1",
        "0",
        "1",
        "+5",
        "1e2",
        "0x10",
        "abc",
        "1,2",
        "9" * 5,
        "9" * 30,
        "9" * 5_000,
        "5.0",
        "²",
    )
    for length in lies:
        yield Rest("wrong header length", honest["body"], {HEADER: length.encode().decode("latin-1")})
    for by in [*range(-40, 0), *range(1, 40)]:
        head = int(honest["headers"][HEADER]) + by
        yield Rest("wrong header length", honest["body"], {HEADER: str(head)})
    yield Rest("wrong header length", honest["body"])
    yield Rest("binary and data", **binary(IMAGE | {"data": [text(GOOD)]}, raw))
    for _ in range(120):
        lie = chance.choice((0, 1, len(GOOD) - 1, len(GOOD) + 1, 2**31, 2**32 - 1, chance.randrange(2**32)))
        yield Rest("wrong length prefix", **binary(IMAGE, struct.pack("<I", lie) + GOOD))
    for size in range(4):
        yield Rest("wrong length prefix", **binary(IMAGE, raw + bytes(size + 1)))
        yield Rest("wrong length prefix", **binary(IMAGE, raw[:size]))
    yield Rest("wrong length prefix", **binary(IMAGE | {"shape": [2]}, raw))


def wrong_encodings(chance: random.Random) -> Iterator[Rest]:
    whole = dump(question())
    packed = gzip.compress(whole)
    for _ in range(60):
        yield Rest("cut gzip", packed[: chance.randrange(len(packed))], {"content-encoding": "gzip"})
    for at in range(len(packed) - 8, len(packed)):
        changed = packed[:at] + bytes([packed[at] ^ 0xFF]) + packed[at + 1 :]
        yield Rest("gzip with a wrong checksum", changed, {"content-encoding": "gzip"})
    for coding in ("br", "zstd", "compress", "gzip, gzip", "x", "*", "gzip;q=1", "\xe9"):
        yield Rest("unknown encoding", whole, {"content-encoding": coding})
    for coding in ("gzip", "deflate"):
        yield Rest("not as encoded", whole, {"content-encoding": coding})
        yield Rest("not as encoded", b"", {"content-encoding": coding})
        yield Rest("not as encoded", chance.randbytes(100), {"content-encoding": coding})
    yield Rest("encoded twice", gzip.compress(packed), {"content-encoding": "gzip"})
    yield Rest("trailing bytes", packed + b"more", {"content-encoding": "gzip"})
    zeros, packer = bytes(MEBI), zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(zeros) for _ in range(200)) + packer.flush()
    yield Rest("gzip bomb", bomb, {"content-encoding": "gzip"})
    yield Rest("gzip bomb", zlib.compress(b" " * 65 * MEBI), {"content-encoding": "deflate"})
    for kind in ("text/html", "multipart/form-data; boundary=x", "image/jpeg", "application/xml"):
        yield Rest("wrong content type", JPEG, {"content-type": kind})
        yield Rest("wrong content type", b"--x\r\n\r\nfile\r\n--x--", {"content-type": kind})


def unknown(chance: random.Random) -> Iterator[Rest]:
    good = dump(question())
    for name in UNKNOWN:
        for path in (f"/v2/models/{name}", f"/v2/models/colour/versions/{name}"):
            yield Rest("unknown model", good, path=f"{path}/infer")
            yield Rest("unknown model", path=path, method="GET")
            yield Rest("unknown model", path=f"{path}/ready", method="GET")
    for path, method in itertools.product(NOWHERE, ("GET", "POST")):
        yield Rest("unknown path", good, path=path, method=method)
    for method in ("GET", "POST") * 30:
        path = "/" + "".join(chance.choices("v2/modelscur.infe%20_~", k=chance.randint(1, 40)))
        yield Rest("unknown path", path=path.replace("%", "%25") + "/x", method=method)
    for name, what in itertools.product(("colour", "x", "%2e%2e"), ("load", "unload")):
        yield Rest("repository", path=f"/v2/repository/models/{name}/{what}")
    for value in ([], 7, {"ready": "yes"}, {"ready": 1}):
        yield Rest("repository", dump(value), path="/v2/repository/index")


def wrong_methods(_: random.Random) -> Iterator[Rest]:
    routes = ("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models", "/v2/models/colour", "/metrics")
    others = ("PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "FOO", "infer")
    for path, method in itertools.product(routes, ("POST", *others)):
        yield Rest("wrong method", path=path, method=method)
    for path, method in itertools.product((INFER, "/v2/repository/index"), ("GET", "HEAD", *others)):
        yield Rest("wrong method", dump(question()), path=path, method=method)


def too_much(_: random.Random) -> Iterator[Rest]:
    for count in (65, 100, 1_000):
        yield Rest("too many images", dump(question(shape=[count], data=[text(GOOD)] * count)))
        yield Rest("too many images", **binary(IMAGE | {"shape": [count]}, prefixed(*[GOOD] * count)))
        yield Rest("too many images", **binary(PIXELS | {"shape": [count, 8, 8, 3]}, bytes(count * 192)))
    yield Rest("file too large", **binary(IMAGE, prefixed(JPEG + bytes(20 * MEBI))))
    yield Rest("body too large", bytes(64 * MEBI + 1))
    yield Rest("too many values", dump(pixels(data=[0] * (2 * MEBI + 2))))
