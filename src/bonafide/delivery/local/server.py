"""``bonafide deliver --local``: everything that serves one environment here, until told to stop."""

import asyncio
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvloop

from bonafide.delivery.local.fleet import Fleet
from bonafide.delivery.local.front import create_app
from bonafide.delivery.local.scraping import record
from bonafide.delivery.local.source import FOLDER_SECONDS, Read, follow, manifest
from bonafide.delivery.rollout.recorded import Recorded
from bonafide.home import is_remote
from bonafide.serving.edge.http import Protocol
from bonafide.serving.edge.limits import Limits
from bonafide.serving.edge.running import address, beside, http_server, listen


@dataclass(frozen=True)
class Options:
    """How often things are looked at, in seconds, and how requests are divided.

    Attributes:
        every: between two fetches of a Git address; a folder is read each second.
        scrape: between two readings of each predictor's counters.
        sticky: by the request's id instead of at random.
    """

    every: float = 30
    scrape: float = 5
    sticky: bool = False


def deliver(
    place: str,
    environment: str,
    task: str,
    *,
    host: str,
    port: int,
    public_key: Path,
    options: Options,
    announce: Callable[[str], None],
) -> None:
    """Serve an environment's InferenceService until SIGTERM or SIGINT, then finish what has begun.

    Args:
        place: the delivery repository, a folder or a Git address.
        port: 0 takes a free one.
        public_key: the key, or the folder of keys, that packages must be signed for.
        announce: called with a sentence whenever the predictors' parts of the requests change.

    Raises:
        BonafideError: nothing is in service there, the repository cannot be reached, the port cannot be had.
    """
    recorded = Recorded(environment, task)
    with (
        manifest(place, environment, task) as read,
        listen(host, port) as listener,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        url = f"http://{address(host, listener.getsockname()[1])}"

        def tell(percents: dict[str, int]) -> None:
            parts = ", ".join(f"{name} {percent} %" for name, percent in percents.items())
            announce(f"serving {task} of {environment}: {parts}  at {url}")

        every = options.every if is_remote(place) else FOLDER_SECONDS
        runner.run(_deliver(read, every, Fleet(public_key, tell), recorded, listener, options))


async def _deliver(
    read: Read, every: float, fleet: Fleet, recorded: Recorded, listener: socket.socket, options: Options
) -> None:
    limits = Limits()
    protocol = partial(Protocol, limits, lambda _outcome, _reason: None)
    server = http_server(create_app(fleet, limits, options.sticky), protocol, limits, lifespan="off")
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, setattr, server, "should_exit", True)
    try:
        fleet.apply(read())
        works = [
            partial(follow, read, every, fleet.apply),
            partial(record, fleet, recorded, options.scrape),
        ]
        async with beside(works):
            await server.serve(sockets=[listener])
    finally:
        await fleet.stop()
