"""Errors as ``application/problem+json`` (RFC 9457), whatever went wrong and wherever."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from bonafide.errors import ImageError
from bonafide.serving.api.schemas import ProblemDetails
from bonafide.serving.errors import STATUS, Overloaded, RequestError
from bonafide.telemetry.logs import request_id

MEDIA_TYPE = "application/problem+json"
LONGEST_DETAIL = 1000
MOST_ERRORS = 20
LONGEST_FIELD = 200

_IMAGE = re.compile(r"image\[\d+\]: (?:(?P<reason>[a-z-]+): )?(?P<detail>.*)", re.DOTALL)
_DETAILS = {
    404: "no such path; GET /openapi.json lists those that there are",
    405: "this path has other methods; the header Allow names them",
}


class Problem(Exception):  # noqa: N818  (the field's word)
    """Why a request is not answered; ``members`` are further members of the body."""

    def __init__(
        self, status: int, detail: str, headers: Mapping[str, str] | None = None, **members: Any
    ) -> None:
        super().__init__(detail[:LONGEST_DETAIL])
        self.status = status
        self.headers = dict(headers or {})
        self.members = members


def details(problem: Problem, path: str) -> ProblemDetails:
    """The body of the answer to a request for ``path``."""
    title = HTTPStatus(problem.status).phrase
    known = {"title": title, "status": problem.status, "detail": str(problem), "instance": path}
    return ProblemDetails(**known, request_id=request_id.get(), **problem.members)


def response(problem: Problem, path: str) -> JSONResponse:
    """The answer to a request for ``path``."""
    body = details(problem, path).model_dump(by_alias=True, exclude_none=True)
    return JSONResponse(body, problem.status, problem.headers, MEDIA_TYPE)


def of(error: RequestError | ImageError | Overloaded) -> Problem:
    """Why there is no answer; an image's reason stands apart."""
    if isinstance(error, ImageError):
        return Problem(STATUS.get(error.reason, 400), str(error), reason=error.reason)
    if isinstance(error, Overloaded):
        return Problem(503, str(error), {"Retry-After": str(error.retry_after)})
    found = _IMAGE.fullmatch(str(error))
    if found:
        return Problem(error.status, found["detail"], reason=found["reason"])
    late = error.status == HTTPStatus.REQUEST_TIMEOUT
    return Problem(error.status, str(error), {"Connection": "close"} if late else None)


def misfit(status: int, what: str, found: Sequence[Any]) -> Problem:
    """What does not fit and why, field by field, of pydantic's errors."""
    errors = [
        {"field": ".".join(map(str, one["loc"]))[:LONGEST_FIELD], "detail": one["msg"]}
        for one in found[:MOST_ERRORS]
    ]
    first = ": ".join(filter(None, errors[0].values()))
    return Problem(status, f"{what} does not fit: {first}", errors=errors)


def install(app: FastAPI) -> None:
    """Answer every error of ``app`` with a problem."""

    @app.exception_handler(Problem)
    async def _(request: Request, problem: Problem) -> JSONResponse:
        return response(problem, request.url.path)

    @app.exception_handler(RequestError)
    @app.exception_handler(ImageError)
    @app.exception_handler(Overloaded)
    async def _(request: Request, error: RequestError | ImageError | Overloaded) -> JSONResponse:
        return response(of(error), request.url.path)

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> JSONResponse:
        detail = _DETAILS.get(error.status_code, error.detail)
        return response(Problem(error.status_code, detail, error.headers), request.url.path)

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, error: RequestValidationError) -> JSONResponse:
        return response(misfit(400, "the request", error.errors()), request.url.path)
