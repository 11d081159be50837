"""Reads a gRPC message within bounds, and without copying its raw tensors.

Small fields and packed numbers take many times their size once they are parsed: 60 MiB of them over 1 GiB.
Images and raw tensors do not, so a large message must consist of those. The format is that of
https://protobuf.dev/programming-guides/encoding/.
"""

from collections.abc import Iterator

from google.protobuf.message import DecodeError
from kserve import InferRequest
from kserve.errors import InvalidInput
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from bonafide.serving.edge.limits import MAXIMUM_VALUES
from bonafide.serving.errors import RequestError

TINY = 32 * 2**10  # copying costs less than looking, whatever it is made of
MAXIMUM_FIELDS = 4096
INPUTS, RAW, CONTENTS, BYTES = 5, 7, 5, 8  # numbers of fields: of the request, of a tensor, of its contents
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
WIDEST = 2  # bytes of a number from 0 to 255


def read(content: bytes) -> InferRequest:
    """A ModelInferRequest as it came over the wire; raw tensors of a large one stay views of it.

    Raises:
        RequestError: it is no valid message; 413, it is larger than 32 KiB and made of too many fields.
    """
    try:
        check(content)
        head, raw = _split(content)
        message = pb.ModelInferRequest.FromString(head)
        raw = raw or [memoryview(tensor) for tensor in message.raw_input_contents]
        message.ClearField("raw_input_contents")
        request = InferRequest.from_grpc(message)
    except (DecodeError, LookupError):
        raise RequestError("the message is no valid protocol buffer") from None
    except InvalidInput as error:
        raise RequestError(str(error)) from error
    _join(message, request, raw)
    return request


def check(content: bytes) -> None:
    """Look at a ModelInferRequest as it came over the wire.

    Raises:
        RequestError: 413, it is larger than 32 KiB and made of too many fields or numbers.
        LookupError: it is no valid message.
    """
    if len(content) <= TINY:
        return
    numbers = 0
    for fields, (path, size) in enumerate(_walk(memoryview(content), ()), 1):
        if path[:2] == (INPUTS, CONTENTS) and path[2:] and path[2] != BYTES:
            numbers += size
        if fields > MAXIMUM_FIELDS or numbers > WIDEST * MAXIMUM_VALUES:
            raise RequestError("the message has too many values; send raw_input_contents", 413, "too-large")


def _split(content: bytes) -> tuple[bytes, list[memoryview]]:
    """The message without its raw tensors, and those; as it is where that saves nothing."""
    message, head, raw = memoryview(content), [], []
    for fields, (number, kind, start, begin, end) in enumerate(_fields(message)):
        if len(content) <= TINY or fields > MAXIMUM_FIELDS:
            return content, []
        if (number, kind) == (RAW, LENGTH):
            raw.append(message[begin:end])
        else:
            head.append(message[start:end])
    return b"".join(head), raw


def _join(message: pb.ModelInferRequest, request: InferRequest, raw: list[memoryview]) -> None:
    if raw and len(raw) != len(request.inputs):
        found = f"{len(raw)} tensors; that does not match the {len(request.inputs)} inputs"
        raise RequestError(f"raw_input_contents: {found}")
    for tensor, given, content in zip(request.inputs, message.inputs, raw, strict=bool(raw)):
        if given.HasField("contents"):
            raise RequestError(f"{tensor.name}: contents must not be specified beside raw_input_contents")
        tensor._raw_data = content


def _walk(message: memoryview, parents: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], int]]:
    """Path of numbers and size of each field, down to the contents of the inputs."""
    for number, kind, _, begin, end in _fields(message):
        path = (*parents, number)
        yield path, end - begin
        if kind == LENGTH and path in ((INPUTS,), (INPUTS, CONTENTS)):
            yield from _walk(message[begin:end], path)


def _fields(message: memoryview) -> Iterator[tuple[int, int, int, int, int]]:
    """Number and kind of each field, and where it starts, its content begins, and it ends."""
    end = 0
    while end < len(message):
        start = end
        tag, begin = _varint(message, start)
        kind = tag & 7
        if kind == LENGTH:
            size, begin = _varint(message, begin)
            end = begin + size
        elif kind == VARINT:
            _, end = _varint(message, begin)
        else:
            end = begin + {FIXED64: 8, FIXED32: 4}[kind]
        if end > len(message):
            raise IndexError("a field is cut off")
        yield tag >> 3, kind, start, begin, end


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
