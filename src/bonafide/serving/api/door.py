"""What a caller must pass before his request is read: his token, the limit of his address, his own limit."""

from http import HTTPStatus
from typing import Annotated

from fastapi import Request
from fastapi.params import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes

from bonafide.serving.api import auth
from bonafide.serving.api.problems import Problem
from bonafide.serving.api.rates import Rates, address
from bonafide.serving.api.settings import Settings
from bonafide.serving.api.tokens import SCOPES

BEARER = HTTPBearer(
    auto_error=False,
    bearerFormat="JWT",
    description="A JSON Web Token with the scope of the path: "
    + ", ".join(f"`{name}`" for name in SCOPES)
    + ".",
)


class Door:
    """Lets callers in, or does not."""

    def __init__(self, settings: Settings) -> None:
        self._rates = Rates(settings)
        self._tokens = auth.Tokens(settings) if settings.needs_token else None

    async def admit(
        self,
        request: Request,
        needed: SecurityScopes,
        shown: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
    ) -> None:
        """Check and count one request; those without a good token count apart, so guessing is limited too.

        Raises:
            Problem: 401, 403, 429 or 503.
        """
        caller = await self._caller(address(request), shown)
        if caller is not None:  # first, so that one subject's refusals cost the others of an address nothing
            request.scope["state"]["subject"] = caller.subject
            await self._rates.take(request, "subject", caller.subject)
        await self._rates.take(request, "address", address(request))
        if caller is not None and (missing := set(needed.scopes) - caller.scopes):
            raise auth.forbidden(missing)

    async def count(self, request: Request, predictions: int) -> None:
        """Count all ``predictions`` of a request that was let in as one.

        Raises:
            Problem: 413 or 429.
        """
        more = {"cost": predictions - 1, "before": 1}
        if subject := request.scope["state"].get("subject"):
            await self._rates.take(request, "subject", subject, **more)
        await self._rates.take(request, "address", address(request), **more)

    async def close(self) -> None:
        """Stop fetching keys."""
        if self._tokens:
            await self._tokens.close()

    async def _caller(self, host: str, shown: HTTPAuthorizationCredentials | None) -> auth.Caller | None:
        """Who asks from ``host``; None where no token is needed."""
        if self._tokens is None:
            return None
        await self._rates.check_failures(host)
        try:
            if shown is None:
                raise auth.unauthorised("")
            return await self._tokens.verify(shown.credentials)
        except Problem as problem:
            if problem.status == HTTPStatus.UNAUTHORIZED:
                await self._rates.count_failure(host)
            raise
