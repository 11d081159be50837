"""Images out of a request body, never written to disk."""

import asyncio
from collections.abc import AsyncGenerator

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from bonafide.serving.api.problems import Problem
from bonafide.serving.v2.question import MAXIMUM_IMAGES

FORM = "multipart/form-data"
MAXIMUM_FIELDS = 8
STEP = 2**20


class _Parser(MultiPartParser):
    spool_max_size = 0  # no limit: files stay in memory, and the limit of the body bounds them


async def one(request: Request, body: bytes) -> bytes:
    """The body itself if it is an image, or the form's file ``image``.

    Raises:
        Problem: 400, 413 or 415.
    """
    kind = _kind(request)
    if kind.startswith("image/"):
        return body
    if kind != FORM:
        raise Problem(415, f"send {FORM} with the file 'image', or the image itself as image/jpeg, say")
    images = await _files(request, body, "image", 1)
    return images[0]


async def several(request: Request, body: bytes) -> list[bytes]:
    """The form's files ``images``, in order.

    Raises:
        Problem: 400, 413 or 415.
    """
    if _kind(request) != FORM:
        raise Problem(415, f"send {FORM} with the files 'images'")
    return await _files(request, body, "images", MAXIMUM_IMAGES)


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _files(request: Request, body: bytes, name: str, most: int) -> list[bytes]:
    parser = _Parser(request.headers, _steps(body), max_files=most, max_fields=MAXIMUM_FIELDS)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        too_many = error.message.startswith("Too many files")
        raise Problem(413 if too_many else 400, f"the form cannot be read: {error.message}") from error
    try:
        return [await file.read() for file in _checked(form, name)]
    finally:
        await form.close()


async def _steps(body: bytes) -> AsyncGenerator[bytes, None]:
    """Parsing 64 MiB at once would hold up the event loop."""
    for begin in range(0, len(body), STEP):
        yield body[begin : begin + STEP]
        await asyncio.sleep(0)


def _checked(form: FormData, name: str) -> list[UploadFile]:
    files = []
    for field, value in form.multi_items():
        if field != name:
            raise Problem(400, f"unknown field {field[:64]!r}; send the file as {name!r}")
        if not isinstance(value, UploadFile):
            raise Problem(400, f"{name!r} must be a file: give it a file name")
        files.append(value)
    if not files:
        raise Problem(400, f"the form has no file {name!r}")
    return files
