"""Bounds what a gRPC message takes in memory before it is parsed.

Small fields and packed numbers take many times their size once they are parsed: 60 MiB of them over 1 GiB.
Images and raw tensors do not, so a large message must consist of those. The format is that of
https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterator

from bonafide.serving.edge.limits import MAXIMUM_VALUES
from bonafide.serving.errors import RequestError

SMALL = 2 * 2**20  # takes at most some 64 MiB, whatever it is made of
MAXIMUM_FIELDS = 4096
INPUTS, CONTENTS, BYTES = 5, 5, 8  # numbers of fields: of the request, of a tensor, of its contents
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
WIDEST = 2  # bytes of a number from 0 to 255


def check(message: bytes) -> None:
    """Look at a ModelInferRequest as it came over the wire.

    Raises:
        RequestError: 413, it is larger than 2 MiB and made of too many fields or numbers.
        LookupError: it is no valid message.
    """
    if len(message) <= SMALL:
        return
    numbers = 0
    for fields, (path, size) in enumerate(_walk(memoryview(message), ()), 1):
        if path[:2] == (INPUTS, CONTENTS) and path[2:] and path[2] != BYTES:
            numbers += size
        if fields > MAXIMUM_FIELDS or numbers > WIDEST * MAXIMUM_VALUES:
            raise RequestError("the message has too many values; send raw_input_contents", 413, "too-large")


def _walk(message: memoryview, parents: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], int]]:
    """Path of numbers and size of each field, down to the contents of the inputs."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        path, kind = (*parents, tag >> 3), tag & 7
        begin = position
        if kind == LENGTH:
            size, begin = _varint(message, position)
            position = begin + size
        elif kind == VARINT:
            _, position = _varint(message, position)
        else:
            position += {FIXED64: 8, FIXED32: 4}[kind]
        yield path, position - begin
        if kind == LENGTH and path in ((INPUTS,), (INPUTS, CONTENTS)):
            yield from _walk(message[begin:position], path)


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """A number of at most ten bytes of seven bits, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise IndexError("a number without end")
