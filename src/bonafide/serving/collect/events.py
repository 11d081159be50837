"""CloudEvents over HTTP, in binary and in structured mode, as far as KServe's logger uses them.

KServe's agent sends a request and its answer as two events of one id, in binary mode. Both have the content
type and the chosen headers of the request; the answer's own headers are not sent:
https://github.com/kserve/kserve/blob/v0.21.0/pkg/logger/handler.go and worker.go beside it.
"""

import binascii
import re
from collections.abc import Mapping
from typing import Literal, NamedTuple
from urllib.parse import unquote

import orjson
import pybase64

from bonafide.serving.edge.body import Buffer
from bonafide.serving.errors import RequestError

STRUCTURED = "application/cloudevents+json"
TYPES: dict[str, Literal["request", "response"]] = {
    "org.kubeflow.serving.inference.request": "request",
    "org.kubeflow.serving.inference.response": "response",
}
REQUIRED = ("specversion", "id", "type", "source")
VERSION = "1.0"
PREDICTOR = "inferenceservicename"
LONGEST = 253
_ID = re.compile(r"[!-~]{1,128}")


class Event(NamedTuple):
    """One half of an inference: ``id`` is that of both, ``predictor`` the InferenceService."""

    id: str
    kind: Literal["request", "response"]
    predictor: str
    data: Buffer


def read(headers: Mapping[str, str], body: Buffer) -> Event:
    """The event that a request is.

    Raises:
        RequestError: 400, it is none, or of a kind that is not known here.
    """
    if headers.get("content-type", "").partition(";")[0].strip().lower() == STRUCTURED:
        attributes, data = _structured(body)
    else:
        names = (*REQUIRED, PREDICTOR)
        attributes = {name: unquote(headers[f"ce-{name}"]) for name in names if f"ce-{name}" in headers}
        data = body
    if missing := [name for name in REQUIRED if not attributes.get(name)]:
        raise RequestError(f"this is no CloudEvent: it lacks {missing[0]}")
    if attributes["specversion"] != VERSION:
        raise RequestError(f"specversion {attributes['specversion'][:16]!r} is not known; send {VERSION}")
    if attributes["type"] not in TYPES:
        raise RequestError(f"type {attributes['type'][:64]!r} is not known; send {' or '.join(TYPES)}")
    if not _ID.fullmatch(attributes["id"]):
        raise RequestError("id: give 1 to 128 printable characters without spaces")
    return Event(attributes["id"], TYPES[attributes["type"]], attributes.get(PREDICTOR, "")[:LONGEST], data)


def _structured(body: Buffer) -> tuple[dict[str, str], Buffer]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is no valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise RequestError("this is no CloudEvent: it is no JSON object")
    attributes = {name: value for name, value in content.items() if isinstance(value, str)}
    encoded = attributes.get("data_base64")
    if encoded is None:
        return attributes, orjson.dumps(content.get("data"))
    try:
        return attributes, pybase64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(f"data_base64: no valid base64: {error}") from error
