"""What the OpenAPI document says beyond the types: bodies, headers, problems."""

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from bonafide.feedback.opinion import Feedback
from bonafide.serving.api import examples
from bonafide.serving.api.schemas import Asked, Notification, Opinion
from bonafide.serving.api.topic import Topic

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


def json_body(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    """What a request must bring as JSON."""
    return body({"application/json": {"schema": schema, "example": example}})


def answered(example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """:data:`ANSWERS`, of which the good one might be ``example``."""
    return ANSWERS | {200: ANSWERS[200] | {"content": {"application/json": {"example": example}}}}


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
_FOUND = problems(400, 401, 403, 404, 429, 503)
_WORD = {"Location": {"description": "Where it can be looked at.", "schema": {"type": "string"}}}
FEEDBACK: dict[str, Any] = {"responses": _FOUND}
METRICS: dict[str, Any] = {
    "response_model": None,
    "responses": {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
}


def started(topic: Topic) -> dict[str, Any]:
    """Of the path that starts a run."""
    return {
        "status_code": HTTPStatus.ACCEPTED,
        "responses": _REFUSALS | {202: {"headers": _LOCATION}},
        "openapi_extra": json_body(Asked.model_json_schema(), examples.asked(topic)),
    }


def hooked(topic: Topic) -> dict[str, Any]:
    """Of the path that takes alerts."""
    return {
        "responses": _REFUSALS,
        "openapi_extra": json_body(_inline(Notification), examples.notification(topic)),
    }


def filed(topic: Topic) -> dict[str, Any]:
    """Of the path that takes feedback."""
    again = {"model": Feedback, "description": "As before.", "headers": _WORD}
    return {
        "status_code": HTTPStatus.CREATED,
        "responses": _REFUSALS | problems(404, 409) | {201: {"headers": _WORD}, 200: again},
        "openapi_extra": json_body(Opinion.model_json_schema(), examples.opinion(topic)),
    }
