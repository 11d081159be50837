"""Where the manifest comes from: a folder that is read again and again, or a clone that is fetched."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bonafide.delivery.checkout import checkout
from bonafide.delivery.local.manifest import Arm, read_arms
from bonafide.errors import DeliveryError
from bonafide.home import is_remote

logger = logging.getLogger(__name__)

FOLDER_SECONDS = 1.0

Read = Callable[[], tuple[Arm, ...]]


@contextmanager
def manifest(place: str, environment: str, task: str) -> Iterator[Read]:
    """What reads the predictors of an environment, as its repository has them at each call.

    Args:
        place: a folder, whose files count whether they are committed or not, or a Git address.

    Raises:
        DeliveryError: Git cannot be used, or the address cannot be reached; also by the function.
    """
    if not is_remote(place):
        yield lambda: read_arms(Path(place), environment, task)
        return
    with checkout(place) as delivery:

        def read() -> tuple[Arm, ...]:
            delivery.renew()
            return read_arms(delivery.folder, environment, task)

        yield read


async def follow(read: Read, seconds: float, apply: Callable[[tuple[Arm, ...]], None]) -> None:
    """Have every change applied, for ever. What cannot be read changes nothing; it is logged once."""
    trouble = ""
    while True:
        await asyncio.sleep(seconds)
        try:
            apply(await asyncio.to_thread(read))
            trouble = ""
        except DeliveryError as error:
            if str(error) != trouble:
                logger.warning("the manifest cannot be followed: %s", error)
            trouble = str(error)
