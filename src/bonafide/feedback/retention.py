"""Forgetting what is old."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from bonafide.errors import BonafideError
from bonafide.feedback import images
from bonafide.feedback.store import Store

EVERY_SECONDS = 3600.0

logger = logging.getLogger(__name__)


def forget(store: Store, before: datetime, confirmed: bool = False) -> tuple[int, int]:
    """Delete predictions older than ``before``, what was said of them, and images that no other one has.

    Args:
        confirmed: also those with confirmed feedback.

    Returns:
        how many predictions and how many images.

    Raises:
        StoreError: the store does not answer.
        BonafideError: an image cannot be deleted; its row is gone, and the message names it.
    """
    count, alone = store.forget(before, confirmed)
    failed: list[str] = []
    for address in alone:
        try:
            images.remove(address)
        except BonafideError as error:
            failed.append(str(error))
    if failed:
        raise BonafideError(f"{len(failed)} images are still there, though their rows are not: {failed[0]}")
    return count, len(alone)


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
