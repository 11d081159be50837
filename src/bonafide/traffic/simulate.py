"""Asks a server at random times, as many independent people would, and tells how it answered."""

import asyncio
import signal
import time
from dataclasses import dataclass, field
from random import Random

import httpx
import numpy as np

from bonafide.batch.listing import Entry
from bonafide.errors import BonafideError, ImageError
from bonafide.progress import Advance
from bonafide.serving.client import HEADER, OUTPUTS, Client, question
from bonafide.serving.edge.ids import PREDICTOR_HEADER
from bonafide.serving.errors import Overloaded, RequestError
from bonafide.traffic.pictures import Pictures

UNNAMED, UNANSWERED = "–", "no answer"
IN_FLIGHT = 64
LATE_SECONDS = 0.1
TIMEOUT = httpx.Timeout(30, connect=3, pool=None)


@dataclass(frozen=True)
class Plan:
    """How much traffic, for how long.

    Attributes:
        rate: requests a second on average; their times are a Poisson process.
        drift: how much worse the images have become at the end, from 0 to 1.
        seed: of times and choices.
    """

    rate: float
    seconds: float
    drift: float = 0.0
    seed: int = 0


@dataclass
class Tally:
    """What one predictor answered."""

    requests: int = 0
    failures: int = 0
    seconds: list[float] = field(default_factory=list)

    def quantile(self, share: float) -> float | None:
        """Of the seconds of answers that were no failures; None without any."""
        return float(np.quantile(self.seconds, share)) if self.seconds else None


@dataclass
class Outcome:
    """What was answered, by predictor, and how many requests began later than was planned."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    late: int = 0

    @property
    def requests(self) -> int:
        """Of all predictors."""
        return sum(tally.requests for tally in self.tallies.values())

    @property
    def failures(self) -> int:
        """Of all predictors."""
        return sum(tally.failures for tally in self.tallies.values())


def simulate(url: str, model: str, pictures: Pictures, plan: Plan, advance: Advance) -> Outcome:
    """Ask the server at ``url`` until the time is over, or Ctrl-C.

    Args:
        model: its name; may be empty where the server has one only.
        advance: called with the seconds that have gone by, and how it goes.

    Raises:
        BonafideError: ``url`` is no address, or the server does not say which model it has.
    """
    return asyncio.run(_simulate(url, model, pictures, plan, advance))


async def _simulate(url: str, model: str, pictures: Pictures, plan: Plan, advance: Advance) -> Outcome:
    path = f"/v2/models/{await _name(url, model)}/infer"
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)
    limits = httpx.Limits(max_connections=IN_FLIGHT, max_keepalive_connections=IN_FLIGHT)
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT, limits=limits) as http:
        traffic = _Traffic(http, path, pictures, plan)
        async with asyncio.TaskGroup() as tasks:
            await traffic.run(tasks, stop, advance)
    return traffic.outcome


async def _name(url: str, model: str) -> str:
    client = Client(url, model)
    try:
        return await client.name()
    except (RequestError, Overloaded) as error:
        raise BonafideError(f"{url}: {error}; start a server: bonafide deliver --local") from error
    finally:
        await client.close()


class _Traffic:
    def __init__(self, http: httpx.AsyncClient, path: str, pictures: Pictures, plan: Plan) -> None:
        self.outcome = Outcome()
        self._http = http
        self._path = path
        self._pictures = pictures
        self._plan = plan
        self._random = Random(plan.seed)  # noqa: S311  (nothing secret)
        self._slots = asyncio.Semaphore(IN_FLIGHT)

    async def run(self, tasks: asyncio.TaskGroup, stop: asyncio.Event, advance: Advance) -> None:
        """Begin every request when it is due, or once a slot is free."""
        plan, begun, told, due = self._plan, time.monotonic(), 0, 0.0
        while (due := due + self._random.expovariate(plan.rate)) < plan.seconds:
            entry = self._pictures.choose(self._random)
            if await _set_within(stop, begun + due - time.monotonic()):
                break
            await self._slots.acquire()
            now = time.monotonic() - begun
            self.outcome.late += now - due > LATE_SECONDS
            tasks.create_task(self._ask(entry, plan.drift * due / plan.seconds))
            if int(now) > told:
                advance(int(now) - told, f"{self.outcome.requests:,} asked, {self.outcome.failures:,} failed")
                told = int(now)
            if now > plan.seconds:
                break

    async def _ask(self, entry: Entry, drift: float) -> None:
        try:
            content = await asyncio.to_thread(self._pictures.content, entry, drift)
            await self._send(content)
        except ImageError:  # gone meanwhile; there are others
            pass
        finally:
            self._slots.release()

    async def _send(self, image: bytes) -> None:
        parts = question([image], OUTPUTS)
        headers = {HEADER: str(len(parts[0])), "content-type": "application/octet-stream"}
        begun = time.perf_counter()
        try:
            answer = await self._http.post(self._path, content=b"".join(parts), headers=headers)
        except httpx.HTTPError:
            self._count(UNANSWERED, None)
            return
        seconds = time.perf_counter() - begun
        self._count(answer.headers.get(PREDICTOR_HEADER, UNNAMED), seconds if answer.is_success else None)

    def _count(self, predictor: str, seconds: float | None) -> None:
        tally = self.outcome.tallies.setdefault(predictor, Tally())
        tally.requests += 1
        if seconds is None:
            tally.failures += 1
        else:
            tally.seconds.append(seconds)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait that long, or until the event is set."""
    try:
        await asyncio.wait_for(event.wait(), max(0, seconds))
    except TimeoutError:
        return False
    return True
