"""The public keys that tokens are signed for: a JSON Web Key Set from an address or a file, kept fresh.

PyJWT's own client blocks, reads without a limit and, once its copy is old, fails while the issuer is away.
This one fetches without blocking and goes on with the keys it has.
"""

import asyncio
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

import httpx
from jwt import PyJWK, PyJWKSet

LIFESPAN_SECONDS = 300
COOLDOWN_SECONDS = 10
LONGEST_AWAY_SECONDS = 3600
TIMEOUT_SECONDS = 5
MAXIMUM_BYTES = 2**20

logger = logging.getLogger(__name__)


class KeySet:
    """Keys by id, for the given algorithms only.

    They are fetched again every five minutes, and for an id that is not among them, then at most every ten
    seconds. While the issuer is away the keys at hand serve, for an hour at most.
    """

    def __init__(self, source: str, algorithms: Sequence[str]) -> None:
        self._source = source
        self._algorithms = algorithms
        self._keys: dict[str, PyJWK] = {}
        self._tried = self._fetched = -math.inf
        self._fetching: asyncio.Task[None] | None = None
        self._client = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, follow_redirects=False)

    @property
    def empty(self) -> bool:
        """Whether there is no key to check anything with."""
        return not self._keys

    async def find(self, identity: str) -> PyJWK | None:
        """The key of that id; known ones are given at once, an unknown one may be worth a fetch."""
        known = identity in self._keys
        if monotonic() - self._tried >= (LIFESPAN_SECONDS if known else COOLDOWN_SECONDS):
            self._tried = monotonic()
            self._fetching = asyncio.create_task(self._refresh())
        if not known and self._fetching:
            await asyncio.shield(self._fetching)
        return self._keys.get(identity)

    async def close(self) -> None:
        """Stop fetching."""
        if self._fetching:
            self._fetching.cancel()
        await self._client.aclose()

    async def _refresh(self) -> None:
        try:
            keys = PyJWKSet.from_dict(json.loads(await self._fetch()))
        except Exception as error:  # noqa: BLE001  (whatever the issuer does, the keys at hand serve)
            told = {"source": self._source, "error": repr(error)}
            logger.warning("the key set could not be had", extra=told)
            if monotonic() - self._fetched > LONGEST_AWAY_SECONDS:
                self._keys = {}
            return
        self._fetched = monotonic()
        self._keys = {str(key.key_id): key for key in keys if key.key_id and self._usable(key)}

    def _usable(self, key: PyJWK) -> bool:
        return key.algorithm_name in self._algorithms and key.public_key_use in ("sig", None)

    async def _fetch(self) -> bytes:
        if not self._source.startswith(("http://", "https://")):
            return await asyncio.to_thread(Path(self._source).read_bytes)
        content = b""
        async with asyncio.timeout(TIMEOUT_SECONDS), self._client.stream("GET", self._source) as response:
            response.raise_for_status()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > MAXIMUM_BYTES:
                    raise ValueError(f"the answer is larger than {MAXIMUM_BYTES:,} bytes")
        return content
