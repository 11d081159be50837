"""Who asks: JSON Web Tokens (RFC 7519) as bearer tokens (RFC 6750), and the scopes that they carry."""

from collections.abc import Collection
from hmac import compare_digest
from typing import Any, NamedTuple

import jwt
from jwt import exceptions

from bonafide.serving.api.keys import KeySet
from bonafide.serving.api.problems import Problem
from bonafide.serving.api.settings import Settings
from bonafide.serving.api.tokens import SHARED

SIGNED = ("RS256", "ES256")
LEEWAY_SECONDS = 30
LONGEST_TOKEN = 8192
LONGEST_SUBJECT = 255
ALERTMANAGER = "alertmanager"
REQUIRED = ["exp", "iss", "aud", "sub"]

_REASONS: dict[type[Exception], str] = {
    exceptions.ExpiredSignatureError: "the token has expired",
    exceptions.ImmatureSignatureError: "the token is not valid yet",
    exceptions.InvalidAudienceError: "the token is for another audience",
    exceptions.InvalidIssuerError: "the token is from another issuer",
    exceptions.MissingRequiredClaimError: f"the token must have the claims {', '.join(REQUIRED)}",
    exceptions.InvalidAlgorithmError: "the token is signed by an algorithm that is not accepted",
}


class Caller(NamedTuple):
    """Who asks, and what for he may."""

    subject: str
    scopes: frozenset[str]


class Tokens:
    """Checks tokens; the algorithms follow from the settings, never from a token."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._algorithms = SIGNED if settings.jwks else SHARED
        self._keys = KeySet(settings.jwks, SIGNED) if settings.jwks else None

    async def verify(self, token: str) -> Caller:
        """The caller that ``token`` names; Alertmanager's is not a JSON Web Token, and fits one path.

        Raises:
            Problem: 401, the token does not hold; 503, there are no keys to check it with.
        """
        if len(token) > LONGEST_TOKEN:
            raise unauthorised("the token is too long")
        hook = self._settings.hook_token.get_secret_value()
        if hook and compare_digest(token.encode(), hook.encode()):
            return Caller(ALERTMANAGER, frozenset({"alerts"}))
        try:
            claims = jwt.decode(
                token,
                await self._key(token),
                algorithms=self._algorithms,
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": REQUIRED, "enforce_minimum_key_length": True},
            )
        except exceptions.PyJWTError as error:
            reason = _REASONS.get(type(error), "the token's form or signature does not hold")
            raise unauthorised(reason) from error
        if not 0 < len(claims["sub"]) <= LONGEST_SUBJECT:
            raise unauthorised("the token's subject is empty or too long")
        return Caller(claims["sub"], _scopes(claims))

    async def close(self) -> None:
        """Stop fetching keys."""
        if self._keys:
            await self._keys.close()

    async def _key(self, token: str) -> Any:
        if self._keys is None:
            return self._settings.secret.get_secret_value()
        identity = jwt.get_unverified_header(token).get("kid")
        if not isinstance(identity, str):
            raise unauthorised("the token names no key")
        if key := await self._keys.find(identity):
            return key
        if self._keys.empty:
            raise Problem(503, "the keys that tokens are checked with cannot be had", {"Retry-After": "10"})
        raise unauthorised("the token names no key of the issuer")


def unauthorised(reason: str) -> Problem:
    """A token that does not hold; an empty ``reason`` stands for no token at all."""
    if not reason:
        return Problem(401, "a bearer token is needed", {"WWW-Authenticate": 'Bearer realm="bonafide"'})
    told = f'Bearer realm="bonafide", error="invalid_token", error_description="{reason}"'
    return Problem(401, reason, {"WWW-Authenticate": told})


def forbidden(missing: Collection[str]) -> Problem:
    """A token that does not reach."""
    names = " ".join(sorted(missing))
    told = f'Bearer realm="bonafide", error="insufficient_scope", scope="{names}"'
    return Problem(403, f"the token lacks the scope {names}", {"WWW-Authenticate": told})


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    """Of ``scope`` (RFC 8693) or, as some issuers have it, ``scp``: text with spaces or a list."""
    given = claims.get("scope", claims.get("scp", ""))
    names = given.split() if isinstance(given, str) else given
    return frozenset(map(str, names)) if isinstance(names, list) else frozenset()
