"""Forgetting what is old."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import compress

from bonafide.errors import BonafideError
from bonafide.feedback import images
from bonafide.feedback.store import Store

EVERY_SECONDS = 3600.0
REST_SECONDS = 3600.0
"""An image that was saved within it may be another prediction's, which is on its way to the store."""
REMOVED_AT_ONCE = 8
TOLD = 10

logger = logging.getLogger(__name__)


def forget(store: Store, before: datetime, confirmed: bool = False) -> tuple[int, int]:
    """Delete predictions older than ``before``, what was said of them, and images that no other one has.

    What has an image that was saved within the last hour stays for now.

    Args:
        confirmed: also those with confirmed feedback.

    Returns:
        how many predictions and how many images.

    Raises:
        StoreError: the store does not answer.
        BonafideError: images cannot be deleted; their predictions are still there, and the message names ten.
    """
    failed: list[str] = []

    def is_gone(address: str) -> bool:
        try:
            return images.remove(address, REST_SECONDS)
        except BonafideError as error:
            failed.append(str(error))
            return False

    def remove(addresses: Sequence[str]) -> set[str]:
        return set(compress(addresses, pool.map(is_gone, addresses)))

    with ThreadPoolExecutor(REMOVED_AT_ONCE, thread_name_prefix="forget") as pool:
        count, removed = store.forget(before, confirmed, remove)
    if failed:
        told = "; ".join(failed[:TOLD])
        raise BonafideError(f"{len(failed)} images are still there, and so are their predictions: {told}")
    return count, len(removed)


def keep_forgetting(store: Store, days: float) -> Callable[[], Awaitable[None]]:
    """What forgets, now and every hour, all that is older than ``days`` and not confirmed."""

    async def run() -> None:
        while True:
            try:
                count, _ = await asyncio.to_thread(forget, store, datetime.now(UTC) - timedelta(days=days))
                if count:
                    logger.info("old predictions are forgotten", extra={"predictions": count})
            except BonafideError as error:
                logger.warning("old predictions are not forgotten", extra={"error": str(error)})
            await asyncio.sleep(EVERY_SECONDS)

    return run
