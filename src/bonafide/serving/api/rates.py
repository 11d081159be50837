"""How much a caller may ask: predictions in a sliding window, by subject and by address."""

import ipaddress
import logging
import math
import time
from itertools import islice
from urllib.parse import urlsplit

import limits
from fastapi import Request
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import ConfigurationError, StorageError
from limits.storage import storage_from_string

from bonafide.errors import ConfigError
from bonafide.serving.api.problems import Problem
from bonafide.serving.api.settings import Settings
from bonafide.telemetry import metrics

QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
NETWORK_BITS = 64
MOST_KEYS = 65_536
AWAY_SECONDS = 5
# limits' own choice, coredis, needs from its version 6 on a context that limits 5.8 does not open.
REDIS: dict[str, float | str] = {
    "implementation": "redispy",
    "socket_connect_timeout": 1,
    "socket_timeout": 1,
}

logger = logging.getLogger(__name__)


class Recent(MemoryStorage):
    """Takes the place of ``memory://``: counts by ``MOST_KEYS`` keys, of which the oldest goes first.

    A caller has up to two keys, one for each window. limits' own storage has no bound, and at every hit it
    looks through all keys.
    """

    STORAGE_SCHEME = MemoryStorage.STORAGE_SCHEME

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count ``amount`` more for ``key``, which holds for ``expiry`` seconds; how many it has now."""
        count = self.storage[key] = await self.get(key) + amount
        self.expirations.setdefault(key, time.time() + expiry)
        for oldest in tuple(islice(self.expirations, 2)):
            await self.get(oldest)  # drops it once it has expired
        if len(self.expirations) > MOST_KEYS:
            await self.clear(next(iter(self.expirations)))
        return count


class Rates:
    """Counts predictions; how matters stand is told as draft-ietf-httpapi-ratelimit-headers has it.

    Where the storage fails, requests are let through for ``AWAY_SECONDS``, and then it is asked again: it
    should neither take the service along nor slow it down. Requests without a good token are counted apart,
    by address and in this process: they cannot fill the storage.

    Raises:
        ConfigError: the storage's address is unknown or needs a package that is not there.
    """

    def __init__(self, settings: Settings) -> None:
        self._limiter = _limiter(settings.rate_storage.get_secret_value())
        self._failures = SlidingWindowCounterRateLimiter(Recent())
        self._asked_again = 0.0
        self._limits = {
            "subject": limits.parse(settings.subject_rate),
            "address": limits.parse(settings.address_rate),
        }

    async def take(self, request: Request, by: str, key: str, cost: int = 1, before: int = 0) -> None:
        """Count ``cost`` predictions for ``key``; note in ``request`` what its answer says about the limit.

        Args:
            by: ``subject`` or ``address``.
            before: predictions of the same request that are counted already.

        Raises:
            Problem: 429, there are too many for now; 413, for ever.
        """
        limit = self._limits[by]
        if before + cost > limit.amount:
            message = f"{before + cost} predictions at once are more than the limit, {limit}; send fewer"
            raise Problem(413, message)
        if time.monotonic() < self._asked_again:
            return
        try:
            granted = await self._limiter.hit(limit, by, key, cost=cost)
            reset, remaining = await self._limiter.get_window_stats(limit, by, key)
        except StorageError as error:
            self._asked_again = time.monotonic() + AWAY_SECONDS
            logger.warning("requests are not counted", extra={"error": repr(error)})
            return
        wait = max(0, math.ceil(reset - time.time()))
        standing = request.scope["state"].setdefault("standing", {})
        standing[by] = (limit, max(0, remaining), wait)
        request.scope["state"].setdefault("headers", {}).update(_headers(standing))
        if not granted:
            raise _exceeded(limit, by, wait)

    async def check_failures(self, key: str) -> None:
        """Nothing is counted here.

        Raises:
            Problem: 429, too many requests from address ``key`` had no good token.
        """
        limit = self._limits["address"]
        if not await self._failures.test(limit, key):
            reset, _ = await self._failures.get_window_stats(limit, key)
            raise _exceeded(limit, "address", math.ceil(reset - time.time()))

    async def count_failure(self, key: str) -> None:
        """Count a request from address ``key`` that had no good token."""
        await self._failures.hit(self._limits["address"], key)


def _exceeded(limit: limits.RateLimitItem, by: str, wait: int) -> Problem:
    metrics.API_LIMITED.labels(by).inc()
    detail = f"more than {limit} for this {by}; try again in {max(1, wait)} s"
    retry = {"Retry-After": str(max(1, wait))}
    return Problem(429, detail, retry, type=QUOTA_EXCEEDED, violated_policies=[by])


def _limiter(address: str) -> SlidingWindowCounterRateLimiter:
    try:
        if (parts := urlsplit(address)).scheme in ("redis", "rediss") and not parts.hostname:
            raise ConfigurationError("the library would take this computer")
        options = REDIS if address.startswith("redis") else {}
        storage = storage_from_string(f"async+{address}", wrap_exceptions=True, **options)
        return SlidingWindowCounterRateLimiter(storage)
    except (ConfigurationError, NotImplementedError, ValueError):  # of limits; texts hold a password
        scheme = address.partition("://")[0] if "://" in address else "without a scheme"
        raise ConfigError(
            f"rate storage {scheme!r}: no such address, or its package is not installed; "
            "give memory:// or redis://:password@host:6379"
        ) from None


def address(request: Request) -> str:
    """Whom an address stands for: a host by IPv4, a network by IPv6, where one host has very many."""
    host = request.client.host if request.client else "unknown"
    try:
        given = ipaddress.ip_address(host)
    except ValueError:  # from a header: any text
        return "unknown"
    if isinstance(given, ipaddress.IPv4Address):
        return host
    if given.ipv4_mapped:
        return str(given.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(given), NETWORK_BITS), strict=False))


def _headers(standing: dict[str, tuple[limits.RateLimitItem, int, int]]) -> dict[str, str]:
    policies = (f'"{by}";q={limit.amount};w={limit.get_expiry()}' for by, (limit, _, _) in standing.items())
    states = (f'"{by}";r={remaining};t={wait}' for by, (_, remaining, wait) in standing.items())
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(states)}
