"""Bodies of JSON, within limits."""

from dataclasses import replace
from typing import TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from bonafide.serving.api.problems import Problem
from bonafide.serving.edge import body
from bonafide.serving.edge.body import Budget
from bonafide.serving.edge.limits import Limits

AT_ONCE = 16

Kind = TypeVar("Kind", bound=BaseModel)


class Payloads:
    """Reads bodies of at most ``size`` bytes, and what sixteen of them take at once."""

    def __init__(self, limits: Limits, size: int) -> None:
        self._limits = replace(limits, body=size)
        self._budget = Budget(AT_ONCE * size)

    async def read(self, request: Request, kind: type[Kind]) -> Kind:
        """What a request brings.

        Raises:
            Problem: 415, it is no JSON.
            RequestValidationError: it does not fit.
            RequestError, Overloaded, ClientDisconnect: as :func:`bonafide.serving.edge.body.read`.
        """
        refuse_other_than_json(request)
        with self._budget.share(subject(request)) as take:
            content = await body.read(request, self._limits, take)
            try:
                return kind.model_validate_json(bytes(content))
            except ValidationError as error:
                raise RequestValidationError(error.errors(include_url=False)) from None


def refuse_other_than_json(request: Request) -> None:
    """Before a body is read.

    Raises:
        Problem: 415, it is no JSON.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != "application/json":
        raise Problem(415, f"content-type {given!r} is not supported; send application/json")


def subject(request: Request) -> str:
    """Who asks."""
    return str(request.scope["state"].get("subject", ""))
