"""Bad JSON by REST: what is none, and what says the wrong thing in the right place."""

import itertools
import json
import random
from collections.abc import Iterator
from math import prod
from typing import Any

from tests.serving.hostile import GOOD, IMAGE, PIXELS, Rest, binary, dump, pixels, prefixed, question, text

JUNK: tuple[Any, ...] = (True, -1, 1.5, 10**30, "", "\0", [[]], {"a": 1}, [None])
DATATYPES = ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64")
DATATYPES += ("FP16", "FP32", "FP64", "BYTES", "BF16")


def corpus(seed: int) -> list[Rest]:
    chance = random.Random(seed)
    makers = (broken_json, wrong_types, wrong_options, missing, wrong_shapes, wrong_values, wrong_datatypes)
    return [request for make in (*makers, wrong_base64, wrong_outputs) for request in make(chance)]


def broken_json(chance: random.Random) -> Iterator[Rest]:
    whole = dump(pixels(data=[1, 2]))
    for size in range(len(whole)):
        yield Rest("cut JSON", whole[:size])
    for _ in range(100):
        yield Rest("noise for JSON", chance.randbytes(chance.randint(1, 200)))
    texts = (
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "nul",
        "'a'",
        "[1,]",
        "{}x",
        '"\\ud800"',
        "01",
        "+1",
        "//",
    )
    for word in texts:
        yield Rest("no JSON", word.encode())
        yield Rest("no JSON", dump(pixels(data=["?"])).replace(b'"?"', word.encode()))
    for encoding in ("utf-16", "utf-32", "utf-8-sig"):
        yield Rest("no JSON", json.dumps(question()).encode(encoding))
    yield Rest("no JSON", dump(question()).replace(b"BYTES", b"BYT\xff\xfeES"))
    for depth, (left, right) in itertools.product((200, 2_000, 100_000), (("[", "]"), ('{"a":', "}"))):
        nest = left * depth + "1" * (left != "[") + right * depth
        yield Rest("nested JSON", nest.encode())
        yield Rest("nested JSON", dump(pixels(data=["?"])).replace(b'"?"', nest.encode()))
        yield Rest("nested JSON", (left * depth).encode())
    good, bad = dump(question())[1:-1], dump(question(name="x"))[1:-1]
    yield Rest("duplicate keys", b"{" + good + b"," + bad + b"}")
    yield Rest("duplicate keys", dump(question()).replace(b'"shape": [1]', b'"shape": [1], "shape": [2]'))


def wrong_types(_: random.Random) -> Iterator[Rest]:
    for value in (None, True, 7, "text", [], [question()], {"inputs": []}, {"x": []}):
        yield Rest("wrong type", dump(value))
    for value in JUNK:
        yield Rest("wrong type", dump({"inputs": value}))
        yield Rest("wrong type", dump({"inputs": [value]}))
        yield Rest("wrong type", dump(question(shape=[value])))
        yield Rest("wrong type", dump(question(data=[value])))
        yield Rest("wrong type", dump(question() | {"outputs": [value]}))
    for value in JUNK[1:]:  # a true among numbers is a one
        yield Rest("wrong type", dump(pixels(data=[7] * 191 + [value])))
    for value, field in itertools.product(JUNK, ("name", "shape", "datatype", "data")):
        yield Rest("wrong type", dump(question(**{field: value})))
        yield Rest("wrong type", dump(pixels(**{field: value})))


def wrong_options(_: random.Random) -> Iterator[Rest]:
    for value in (value for value in JUNK if not isinstance(value, str)):
        yield Rest("wrong type", dump(question() | {"id": value}))
        yield Rest("wrong type", dump(question() | {"outputs": [{"name": value}]}))
    for value in (value for value in JUNK if not isinstance(value, dict)):
        yield Rest("wrong type", dump(question() | {"parameters": value}))
        yield Rest("wrong type", dump(question(parameters=value)))
    for value in (value for value in JUNK if value is not True):
        yield Rest("wrong type", dump(question() | {"parameters": {"binary_data_output": value}}))
        output = {"name": "label", "parameters": {"binary_data": value}}
        yield Rest("wrong type", dump(question() | {"outputs": [output]}))


def missing(_: random.Random) -> Iterator[Rest]:
    image, raw = question()["inputs"], pixels()["inputs"]
    for field, (tensor,) in itertools.product(("name", "shape", "datatype", "data"), (image, raw)):
        yield Rest("field missing", dump({"inputs": [{k: v for k, v in tensor.items() if k != field}]}))
    for inputs in ([], image * 2, image * 1_000, image + raw):
        yield Rest("wrong number of inputs", dump({"inputs": inputs}))


def wrong_shapes(chance: random.Random) -> Iterator[Rest]:
    sizes = (-(2**63), -8, -1, 0, 1, 2, 3, 4, 7, 8, 9, 64, 65, 2**16, 2**31, 2**32, 2**63, 2**64)
    shapes = ([chance.choice(sizes) for _ in range(chance.randint(0, 6))] for _ in range(320))
    for number, shape in enumerate(shape for shape in shapes if len(shape) != 4 or prod(shape) != 192):
        if number % 3:
            yield Rest("wrong shape", dump(pixels(shape=shape)))
        else:
            yield Rest("wrong shape", **binary(PIXELS | {"shape": shape}, bytes(192)))
    for shape in ([0], [2], [-1], [65], [2**62], [2**64], [1, 1], [], [1, -1], [10**40]):
        yield Rest("wrong shape", dump(question(shape=shape)))
        yield Rest("wrong shape", **binary(IMAGE | {"shape": shape}, prefixed(GOOD)))


def wrong_values(_: random.Random) -> Iterator[Rest]:
    for count in (0, 1, 191, 193, 10_000):
        yield Rest("wrong number of values", dump(pixels(data=[7] * count)))
        yield Rest("wrong number of values", **binary(PIXELS, bytes(count)))
    for value in (-1, 256, 0.5, 1e300, 2**63, 2**64, 2**70, "7", None, [7], {}):
        yield Rest("wrong value", dump(pixels(data=[7] * 191 + [value])))
    for data in ([[7] * 96, [7] * 95], [[7], 7], [[[[]]]], [[]]):
        yield Rest("ragged values", dump(pixels(data=data)))


def wrong_datatypes(chance: random.Random) -> Iterator[Rest]:
    for name in (*DATATYPES, "UINT8 ", "", "STRING", "JPEG", "\0", "é" * 100, "B" * 100_000):
        if name != "BYTES":
            yield Rest("wrong datatype", dump(question(datatype=name)))
            yield Rest("wrong datatype", **binary(IMAGE | {"datatype": name}, prefixed(GOOD)))
        if name != "UINT8":
            yield Rest("wrong datatype", dump(pixels(datatype=name)))
            yield Rest("wrong datatype", **binary(PIXELS | {"datatype": name}, bytes(192)))
    for _ in range(40):
        name = "".join(chance.choices("imagepxls _-./\0é\U0001f600", k=chance.randint(0, 12)))
        yield Rest("unknown input", dump(question(name=name)))


def wrong_base64(chance: random.Random) -> Iterator[Rest]:
    good = text(GOOD)
    for _ in range(100):
        at = chance.randrange(len(good) - 2)
        yield Rest(
            "bad base64", dump(question(data=[good[:at] + chance.choice("!-_ \n\0é=,😀") + good[at + 1 :]]))
        )
    for cut in range(1, 40):
        yield Rest("bad base64", dump(question(data=[good[: len(good) // 4 + cut]])))
    for data in (
        good + "====",
        "=" + good,
        "data:image/png;base64," + good,
        text(good.encode()),
        " ",
        "====",
        "A",
    ):
        yield Rest("bad base64", dump(question(data=[data])))


def wrong_outputs(chance: random.Random) -> Iterator[Rest]:
    names = [
        "Probabilities",
        "labels",
        "",
        "\0",
        "probabilities ",
        "x" * 10_000,
        "__class__",
        "../etc",
        "logits",
    ]
    names += ["".join(chance.choices("labeprobitshm", k=chance.randint(6, 9))) for _ in range(40)]
    for name in names:
        yield Rest("unknown output", dump(question() | {"outputs": [{"name": "label"}, {"name": name}]}))
    for count in (2, 3, 5_000):
        yield Rest("repeated output", dump(question() | {"outputs": [{"name": "label"}] * count}))
