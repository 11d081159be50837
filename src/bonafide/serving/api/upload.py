"""Images out of a request body, as views of it: nothing is copied, nothing is written to disk."""

import asyncio

from fastapi import Request
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from bonafide.serving.api.problems import Problem
from bonafide.serving.edge.body import Buffer
from bonafide.serving.edge.limits import MAXIMUM_IMAGES

FORM = "multipart/form-data"
MAXIMUM_HEADERS = 8
MAXIMUM_LOOKALIKES = 1000  # of the boundary, each of which takes the parser time; by chance there are none
QUICK = 256 * 2**10  # bytes that are parsed sooner than another thread has begun


async def one(request: Request, body: Buffer) -> memoryview:
    """The body itself if it is an image, or the form's file ``image``.

    Raises:
        Problem: 400, 413 or 415.
    """
    kind, _ = _kind(request)
    if kind.startswith("image/"):
        return memoryview(body)
    if kind != FORM:
        raise Problem(415, f"send {FORM} with the file 'image', or the image itself as image/jpeg, say")
    images = await _files(request, body, "image", 1)
    return images[0]


async def several(request: Request, body: Buffer) -> list[memoryview]:
    """The form's files ``images``, in order.

    Raises:
        Problem: 400, 413 or 415.
    """
    if _kind(request)[0] != FORM:
        raise Problem(415, f"send {FORM} with the files 'images'")
    return await _files(request, body, "images", MAXIMUM_IMAGES)


def _kind(request: Request) -> tuple[str, bytes]:
    """The media type, and the boundary of a form's parts."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    return kind.decode("latin-1"), options.get(b"boundary", b"")


async def _files(request: Request, body: Buffer, name: str, most: int) -> list[memoryview]:
    _, boundary = _kind(request)
    try:
        if len(body) > QUICK:
            parts = await asyncio.to_thread(_parts, body, boundary, name, most)
        else:
            parts = _parts(body, boundary, name, most)
    except (MultipartParseError, ValueError) as error:
        raise Problem(400, f"the form cannot be read: {error}") from error
    view = memoryview(body)
    if not parts:
        raise Problem(400, f"the form has no file {name!r}")
    return [view[begin:end] for begin, end in parts]


def _parts(body: Buffer, boundary: bytes, name: str, most: int) -> list[tuple[int, int]]:
    """Where the files ``name`` of a form lie; the parser gets it whole, so that each lies in one piece.

    Raises:
        MultipartParseError: it is damaged or cut off.
        Problem: 400, there is another field; 413, there are too many files.
    """
    if body.count(b"\r\n--" + boundary) > MAXIMUM_LOOKALIKES:
        raise MultipartParseError("its boundary, or what looks like it, is all over its files")
    parts: list[tuple[int, int]] = []
    headers: dict[bytes, bytes] = {}
    field, value = bytearray(), bytearray()
    place: list[int] = []  # where a part begins and ends
    ended: list[bool] = []

    def header_end() -> None:
        headers[bytes(field).lower()] = bytes(value)
        field.clear()
        value.clear()

    def part_data(_: bytes, start: int, end: int) -> None:
        place[:] = [place[0] if place else start, end]

    def part_end() -> None:
        _check(headers, name)
        if len(parts) == most:
            raise Problem(413, f"the form has too many files; send {most} at most")
        parts.append((place[0], place[1]) if place else (0, 0))
        headers.clear()
        place.clear()

    parser = MultipartParser(
        boundary,
        {
            "on_header_field": lambda data, start, end: field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: value.extend(data[start:end]),
            "on_header_end": header_end,
            "on_part_data": part_data,
            "on_part_end": part_end,
            "on_end": lambda: ended.append(True),
        },
        max_header_count=MAXIMUM_HEADERS,
    )
    parser.write(body)  # type: ignore[arg-type]
    parser.finalize()
    if not ended:
        raise MultipartParseError("it is cut off, or its boundary is not the one that was told")
    return parts


def _check(headers: dict[bytes, bytes], name: str) -> None:
    _, options = parse_options_header(headers.get(b"content-disposition", b""))
    field = options.get(b"name", b"").decode(errors="replace")
    if field != name:
        raise Problem(400, f"unknown field {field[:64]!r}; send the file as {name!r}")
    if b"filename" not in options:
        raise Problem(400, f"{name!r} must be a file: give it a file name")
