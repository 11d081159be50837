"""What the service API is told: who may ask, and how much."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import limits
from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from bonafide.addresses import is_loopback
from bonafide.config import Config

SECRET_BYTES = 32


class Settings(Config):
    """Tokens are checked when ``jwks`` or ``secret`` is set.

    ``jwks`` is the address or the file of a JSON Web Key Set, ``secret`` a shared key for development.
    ``subject_rate`` and ``address_rate`` are how many predictions a caller may have in
    a time: ``600/minute``.
    ``hook_token`` is what Alertmanager shows; within ``rest_hours`` alerts start one run of a task.
    ``rate_storage`` is where they are counted: ``memory://`` in this process, or ``redis://user:password@host:6379``.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    jwks: str = ""
    secret: SecretStr = SecretStr("")
    issuer: str = ""
    audience: str = ""
    subject_rate: str = "600/minute"
    address_rate: str = "1200/minute"
    rate_storage: SecretStr = SecretStr("memory://")
    cors_origins: tuple[str, ...] = ()
    hook_token: SecretStr = SecretStr("")
    rest_hours: Annotated[float, Field(ge=0, le=8760)] = 1

    @property
    def needs_token(self) -> bool:
        """Whether callers must show a token."""
        return bool(self.jwks or self.secret.get_secret_value())

    @field_validator("subject_rate", "address_rate")
    @classmethod
    def _rate(cls, rate: str) -> str:
        limits.parse(rate)
        return rate

    @field_validator("jwks")
    @classmethod
    def _jwks(cls, jwks: str) -> str:
        address = urlsplit(jwks)
        if address.scheme == "http" and not is_loopback(address.hostname):
            raise ValueError("keys that anybody on the way can change prove nothing; use https")
        if jwks and address.scheme not in ("http", "https") and not Path(jwks).is_file():
            raise ValueError(f"{jwks} is no file; give one, or an address that starts with https://")
        return jwks

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            address = urlsplit(origin)
            if address.scheme not in ("http", "https") or origin != f"{address.scheme}://{address.netloc}":
                raise ValueError(f"{origin!r} is no origin; write it as https://console.example.org")
        return origins

    @model_validator(mode="after")
    def _one_kind_of_key(self) -> "Settings":
        secret = self.secret.get_secret_value()
        if self.jwks and secret:
            raise ValueError("give a JWKS or a shared secret, not both")
        hook = self.hook_token.get_secret_value()
        for name, value in (("secret", secret), ("hook_token", hook)):
            if value and len(value.encode()) < SECRET_BYTES:
                raise ValueError(
                    f"{name}: needs {SECRET_BYTES} bytes or more; make one: openssl rand -hex 32"
                )
        if hook and hook == secret:
            raise ValueError("hook_token: who has the secret makes tokens; give Alertmanager another one")
        if self.needs_token and not (self.issuer and self.audience):
            raise ValueError("tokens are checked against an issuer and an audience; give both")
        return self
