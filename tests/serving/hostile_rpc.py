"""Bad requests by gRPC, as bytes, so that what is no message at all can be sent too."""

import itertools
import random
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from tests.data.hostile_files import JPEG, PNG, REFUSED, WEBP
from tests.serving.hostile import GOOD, MEBI, prefixed

SERVICE = "/inference.GRPCInferenceService/"
FIELDS = [field.name for field in pb.InferTensorContents.DESCRIPTOR.fields]


class Rpc(NamedTuple):
    kind: str
    message: bytes
    method: str = f"{SERVICE}ModelInfer"
    may_answer: bool = False


def infer(
    raw: list[bytes] | None = None, contents: Any = None, model: str = "colour", **tensor: Any
) -> bytes:
    settings = {"name": "image", "shape": [1], "datatype": "BYTES"} | tensor
    inputs = [pb.ModelInferRequest.InferInputTensor(**settings, contents=contents)]
    return pb.ModelInferRequest(
        model_name=model, inputs=inputs, raw_input_contents=raw or []
    ).SerializeToString()


def pixels(raw: list[bytes] | None = None, contents: Any = None, **tensor: Any) -> bytes:
    return infer(raw, contents, **({"name": "pixels", "shape": [1, 8, 8, 3], "datatype": "UINT8"} | tensor))


def corpus(seed: int) -> list[Rpc]:
    chance = random.Random(seed)
    makers = (files, changed_files, broken_messages, wrong_tensors, wrong_contents)
    makers += (wrong_lengths, wrong_places, too_much)
    return [request for make in makers for request in make(chance)]


def _by_turns(kind: str, content: bytes, turn: int, **settings: Any) -> Rpc:
    if turn % 2:
        return Rpc(kind, infer([prefixed(content)]), **settings)
    return Rpc(kind, infer(contents={"bytes_contents": [content]}), **settings)


def files(chance: random.Random) -> Iterator[Rpc]:
    for (content, _), turn in itertools.product(REFUSED.values(), range(2)):
        yield _by_turns("hostile file", content, turn)
    for content, turn in itertools.product((JPEG, PNG[:-12], WEBP), range(40)):
        yield _by_turns("cut file", content[: chance.randrange(1, len(content) - 1)], turn)


def changed_files(chance: random.Random) -> Iterator[Rpc]:
    for content, turn in itertools.product((JPEG, PNG, WEBP), range(60)):
        changed = bytearray(content)
        for _ in range(chance.randint(1, 6)):
            changed[chance.randrange(len(changed))] = chance.randrange(256)
        yield _by_turns("changed file", bytes(changed), turn, may_answer=True)


def broken_messages(chance: random.Random) -> Iterator[Rpc]:
    whole = pixels([bytes(192)])
    for size in range(0, len(whole), 2):
        yield Rpc("cut message", whole[:size])
    for _ in range(200):
        yield Rpc("noise for a message", chance.randbytes(chance.randint(0, 100)))
    for name in ("ModelReady", "ModelMetadata", "RepositoryModelLoad", "RepositoryModelUnload"):
        yield Rpc("empty message", b"", SERVICE + name)
        for _ in range(10):
            noise = b"\x0a\x7f" + chance.randbytes(chance.randint(0, 20))  # a name that is cut off
            yield Rpc("noise for a message", noise, SERVICE + name)
    yield Rpc("nested message", b"\x2b" * 100_000)


def wrong_tensors(chance: random.Random) -> Iterator[Rpc]:
    sizes = (-(2**63), -1, 0, 1, 2, 3, 7, 8, 64, 65, 2**31, 2**63 - 1)
    for _ in range(150):
        shape = [chance.choice(sizes) for _ in range(chance.randint(0, 6))]
        if shape != [1, 8, 8, 3]:
            yield Rpc("wrong shape", pixels([bytes(192)], shape=shape))
    for shape in ([0], [2], [-1], [65], [1, 1], []):
        yield Rpc("wrong shape", infer([prefixed(GOOD)], shape=shape))
    for name in ("BOOL", "UINT16", "INT64", "FP16", "FP32", "BYTES", "BF16", "uint8", "", "\0", "x" * 10_000):
        yield Rpc("wrong datatype", pixels([bytes(192)], datatype=name))
        yield Rpc("wrong datatype", infer([prefixed(GOOD)], datatype=name.replace("BYTES", "UINT8")))
    for name in ("", "x", "Image", "pixels ", "\0", "x" * 10_000):
        yield Rpc("unknown input", infer([prefixed(GOOD)], name=name))
    for count in (0, 2, 1_000):
        request = pb.ModelInferRequest.FromString(infer([]))
        tensor = request.inputs.pop()
        request.inputs.extend([tensor] * count)
        request.raw_input_contents.extend([prefixed(GOOD)] * count)
        yield Rpc("wrong number of inputs", request.SerializeToString())
    for names in (
        ["x"],
        ["label", "label"],
        ["label", ""],
        ["label"] * 5_000,
        ["probabilities", "x" * 10_000],
    ):
        request = pb.ModelInferRequest.FromString(infer([prefixed(GOOD)]))
        request.outputs.extend(pb.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in names)
        yield Rpc("wrong outputs", request.SerializeToString())


def wrong_contents(_: random.Random) -> Iterator[Rpc]:
    for raw in ([], [b"", b""], [bytes(192)] * 2, [bytes(192)] * 1_000, [bytes(191)], [bytes(193)], [b""]):
        yield Rpc("wrong raw contents", pixels(raw))
    for field, right in itertools.product(FIELDS, ("uint_contents", "bytes_contents")):
        make = pixels if right == "uint_contents" else infer
        some: Any = {field: [GOOD] if field == "bytes_contents" else [1]}
        yield Rpc("contents twice", make([bytes(192)], some))
        if field != right:
            yield Rpc("wrong contents field", make(contents=some))
            yield Rpc("wrong contents field", make(contents={field: some[field] * 192}))
    for count, value in ((191, 7), (193, 7), (192, 256), (192, 2**32 - 1)):
        yield Rpc("wrong values", pixels(contents={"uint_contents": [value] * count}))
    for count in (2, 3):
        yield Rpc("wrong values", infer(contents={"bytes_contents": [GOOD] * count}))


def wrong_lengths(chance: random.Random) -> Iterator[Rpc]:
    for _ in range(120):
        lie = chance.choice((0, 1, len(GOOD) - 1, len(GOOD) + 1, 2**31, 2**32 - 1, chance.randrange(2**32)))
        yield Rpc("wrong length prefix", infer([struct.pack("<I", lie) + GOOD]))
    for size in range(4):
        yield Rpc("wrong length prefix", infer([prefixed(GOOD)[:size]]))


def wrong_places(_: random.Random) -> Iterator[Rpc]:
    good = [prefixed(GOOD)]
    for name in ("", "x", "Colour", "colour/versions/7/versions/7", "..", "\0", "x" * 10_000, "é"):
        yield Rpc("unknown model", infer(good, model=name))
        for method, message in (
            ("ModelReady", pb.ModelReadyRequest),
            ("ModelMetadata", pb.ModelMetadataRequest),
        ):
            yield Rpc("unknown model", message(name=name).SerializeToString(), SERVICE + method)
            version = message(name="colour", version=name or "0").SerializeToString()
            yield Rpc("unknown version", version, SERVICE + method)
        request = pb.ModelInferRequest.FromString(infer(good))
        request.model_version = name or "0"
        yield Rpc("unknown version", request.SerializeToString())
    for name in ("colour", "x", ""):
        message = pb.RepositoryModelLoadRequest(model_name=name).SerializeToString()
        yield Rpc("repository", message, f"{SERVICE}RepositoryModelLoad")
        yield Rpc("repository", message, f"{SERVICE}RepositoryModelUnload")
    for method in ("ModelExplain", "modelinfer", "RepositoryIndex", "", "ModelInfer/x", "x" * 1_000):
        yield Rpc("unknown method", infer(good), SERVICE + method)
    for method in ("/", "/x/y", "/inference.Other/ModelInfer", "/grpc.reflection.v1.ServerReflection/x"):
        yield Rpc("unknown method", infer(good), method)


def too_much(_: random.Random) -> Iterator[Rpc]:
    for count in (65, 1_000):
        yield Rpc("too many images", infer([prefixed(*[GOOD] * count)], shape=[count]))
        yield Rpc("too many images", pixels([bytes(192 * count)], shape=[count, 8, 8, 3]))
    yield Rpc("file too large", infer([prefixed(JPEG + bytes(20 * MEBI))]))
    yield Rpc("message too large", infer([bytes(64 * MEBI)]))
    yield Rpc("too many values", pixels(contents={"uint_contents": [0] * (2 * MEBI + 1)}))
