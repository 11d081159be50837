"""How much a caller may ask: images in a sliding window, by subject and by address."""

import ipaddress
import logging
import math
import re
import time
from collections.abc import Awaitable

import limits
from fastapi import Request
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import ConfigurationError, StorageError
from limits.storage import storage_from_string
from pydantic import SecretStr

from bonafide.errors import ConfigError
from bonafide.serving.api.problems import Problem
from bonafide.serving.api.settings import Settings
from bonafide.telemetry import metrics

QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
NETWORK_BITS = 64
# limits' own choice, coredis, needs from its version 6 on a context that limits 5.8 does not open.
REDIS: dict[str, float | str] = {
    "implementation": "redispy",
    "socket_connect_timeout": 1,
    "socket_timeout": 1,
}

logger = logging.getLogger(__name__)


class Rates:
    """Counts images; how matters stand is told as draft-ietf-httpapi-ratelimit-headers has it.

    A caller costs two counters, of this window and the one before, whose share decreases as time passes:
    https://limits.readthedocs.io/en/stable/strategies.html#sliding-window-counter.

    Where the storage fails, requests are let through: it should not take the service along.

    Raises:
        ConfigError: the storage's address is unknown or needs a package that is not there.
    """

    def __init__(self, settings: Settings) -> None:
        self._limiter = _limiter(settings.rate_storage)
        self._limits = {
            "subject": limits.parse(settings.subject_rate),
            "address": limits.parse(settings.address_rate),
        }

    async def take(self, request: Request, by: str, key: str, images: int = 1, before: int = 0) -> None:
        """Count ``images`` for ``key``, and note in ``request`` what its answer says about the limit.

        Args:
            by: ``subject`` or ``address``.
            before: images of the same request that are counted already.

        Raises:
            Problem: 429, there are too many for now; 413, for ever.
        """
        limit = self._limits[by]
        if before + images > limit.amount:
            message = f"{before + images} images at once are more than the limit, {limit}; send fewer"
            raise Problem(413, message)
        await self._decide(request, by, key, self._limiter.hit(limit, by, key, cost=images))

    async def check(self, request: Request, by: str, key: str) -> None:
        """Whether an image of ``key`` would be let in; counts nothing, so an unknown key costs no memory.

        Raises:
            Problem: 429, there are too many for now.
        """
        await self._decide(request, by, key, self._limiter.test(self._limits[by], by, key))

    async def _decide(self, request: Request, by: str, key: str, granting: Awaitable[bool]) -> None:
        limit = self._limits[by]
        try:
            granted = await granting
            reset, remaining = await self._limiter.get_window_stats(limit, by, key)
        except StorageError as error:
            logger.warning("requests are not counted", extra={"error": repr(error.storage_error)})
            return
        wait = max(0, math.ceil(reset - time.time()))
        standing = request.scope["state"].setdefault("standing", {})
        standing[by] = (limit, max(0, remaining), wait)
        request.scope["state"].setdefault("headers", {}).update(_headers(standing))
        if not granted:
            metrics.API_LIMITED.labels(by).inc()
            detail = f"more than {limit} for this {by}; try again in {max(1, wait)} s"
            retry = {"Retry-After": str(max(1, wait))}
            raise Problem(429, detail, retry, type=QUOTA_EXCEEDED, violated_policies=[by])


def _limiter(address: SecretStr) -> SlidingWindowCounterRateLimiter:
    given = address.get_secret_value()
    options = REDIS if given.startswith("redis") else {}
    try:
        storage = storage_from_string(f"async+{given}", wrap_exceptions=True, **options)
        return SlidingWindowCounterRateLimiter(storage)
    except (ConfigurationError, NotImplementedError, ValueError) as error:
        reason = str(error).replace(given, _masked(given))
        message = f"rate storage {_masked(given)!r}: {reason}; use memory:// or redis://host:6379"
        raise ConfigError(message) from None


def _masked(address: str) -> str:
    """Without a password."""
    return re.sub(r"//.*@", "//…@", address)


def address(request: Request) -> str:
    """Whom an address stands for: a host by IPv4, a network by IPv6, where one host has very many."""
    host = request.client.host if request.client else "unknown"
    try:
        given = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(given, ipaddress.IPv4Address):
        return host
    if given.ipv4_mapped:
        return str(given.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(given), NETWORK_BITS), strict=False))


def _headers(standing: dict[str, tuple[limits.RateLimitItem, int, int]]) -> dict[str, str]:
    policies = (f'"{by}";q={limit.amount};w={limit.get_expiry()}' for by, (limit, _, _) in standing.items())
    states = (f'"{by}";r={remaining};t={wait}' for by, (_, remaining, wait) in standing.items())
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(states)}
