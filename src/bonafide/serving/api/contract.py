"""What the OpenAPI document says beyond the types: bodies, headers, problems."""

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from bonafide.feedback.opinion import Feedback
from bonafide.serving.api.schemas import Asked, Notification, Opinion

ERRORS = """Every error is `application/problem+json` (RFC 9457) and says what to do; every answer carries
`X-Request-ID`, the request's own if it brings one."""

_HEADERS = {
    "X-Request-ID": ("The request's own, or a new one.", {"type": "string"}),
    "RateLimit": ("Predictions left, and seconds until there are more.", {"type": "string"}),
    "RateLimit-Policy": ("Predictions in how many seconds.", {"type": "string"}),
}
_WHY = {
    400: "What was sent is damaged, or does not fit.",
    401: "No token, or one that does not hold; see `WWW-Authenticate`.",
    403: "The token lacks the scope.",
    404: "There is no such thing.",
    408: "The body did not come in time.",
    413: "Too much at once.",
    409: "Something else was decided.",
    415: "Another kind of content.",
    422: "A row does not fit; `errors` names the columns.",
    429: "Too much for now; see `Retry-After`.",
    503: "No answer for now; see `Retry-After`.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Answers with a problem."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    return {
        status: {"description": _WHY[status], "content": content, "headers": _headers("X-Request-ID")}
        for status in statuses
    }


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"description": _HEADERS[name][0], "schema": _HEADERS[name][1]} for name in names}


def body(content: dict[str, Any]) -> dict[str, Any]:
    """What a request must bring, by its media type."""
    return {"requestBody": {"required": True, "content": content}}


def _inline(model: type[BaseModel]) -> dict[str, Any]:
    """Its schema in one piece: what we read ourselves is not among the document's components."""
    schema = model.model_json_schema()
    schema["properties"]["alerts"]["items"] = schema.pop("$defs")["Alert"]
    return schema


_REFUSALS = problems(400, 401, 403, 408, 413, 415, 429, 503)
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": HTTPStatus.OK.phrase, "headers": _headers(*_HEADERS)},
    **_REFUSALS,
}
_LOCATION = {"Location": {"description": "Where the run can be looked at.", "schema": {"type": "string"}}}
RUNS: dict[str, Any] = {"responses": problems(400, 401, 403, 429, 503)}
RUN: dict[str, Any] = {"responses": RUNS["responses"] | problems(404)}
CANCELLED: dict[str, Any] = {"status_code": HTTPStatus.ACCEPTED, **RUN}
STARTED: dict[str, Any] = {
    "status_code": HTTPStatus.ACCEPTED,
    "responses": _REFUSALS | {202: {"headers": _LOCATION}},
    "openapi_extra": body({"application/json": {"schema": Asked.model_json_schema()}}),
}
HOOKED: dict[str, Any] = {
    "responses": _REFUSALS,
    "openapi_extra": body({"application/json": {"schema": _inline(Notification)}}),
}
_FOUND = problems(400, 401, 403, 404, 429, 503)
_WORD = {"Location": {"description": "Where it can be looked at.", "schema": {"type": "string"}}}
FEEDBACK: dict[str, Any] = {"responses": _FOUND}
FILED: dict[str, Any] = {
    "status_code": HTTPStatus.CREATED,
    "responses": _REFUSALS
    | problems(404, 409)
    | {201: {"headers": _WORD}, 200: {"model": Feedback, "description": "As before.", "headers": _WORD}},
    "openapi_extra": body({"application/json": {"schema": Opinion.model_json_schema()}}),
}
METRICS: dict[str, Any] = {
    "response_model": None,
    "responses": {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
}
