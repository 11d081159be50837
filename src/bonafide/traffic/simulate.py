"""Asks a server at random times, as many independent people would, and tells how it answered."""

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any

from bonafide.errors import BonafideError, ConfigError, ImageError
from bonafide.progress import Advance
from bonafide.serving.edge.running import beside
from bonafide.traffic.endpoint import Endpoint, Reply, Server, ask, opened
from bonafide.traffic.inputs import Input, Inputs
from bonafide.traffic.outcome import Outcome, Row
from bonafide.traffic.review import Desk, Reviewer, at_desk, set_within

IN_FLIGHT = 64
LATE_SECONDS = 0.1
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Plan:
    """How much traffic, for how long.

    Attributes:
        rate: requests a second on average; their times are a Poisson process.
        seed: of times, of choices, and of what is reviewed.
    """

    rate: float
    seconds: float
    seed: int = 0


def simulate(
    server: Server,
    inputs: Inputs[Any],
    plan: Plan,
    advance: Advance,
    reviewer: Reviewer | None = None,
    stop: threading.Event | None = None,
) -> Outcome:
    """Ask a server until the time is over, or ``stop`` is set; in a main thread also until SIGINT or SIGTERM.

    Args:
        advance: called with the seconds that have gone by, and how it goes.
        reviewer: who says what was asked about; None for nobody.

    Raises:
        BonafideError: an address is none, the server does not say which model it has, one does not let us
            in, inputs cannot be read any more, or they have no labels that a reviewer could tell.
    """
    if reviewer and not inputs.labels:
        raise ConfigError(
            "feedback says what inputs are: put images in sub-folders that are labels, or add a column label"
        )
    try:
        return asyncio.run(_simulate(server, inputs, plan, advance, reviewer, stop or threading.Event()))
    except* BonafideError as group:
        errors = group.exceptions
    raise errors[0]


async def _simulate(
    server: Server,
    inputs: Inputs[Any],
    plan: Plan,
    advance: Advance,
    reviewer: Reviewer | None,
    stop: threading.Event,
) -> Outcome:
    async with AsyncExitStack() as stack:
        ended = await stack.enter_async_context(_ended_by(stop))
        endpoint = await stack.enter_async_context(opened(server, IN_FLIGHT))
        desk = await stack.enter_async_context(at_desk(reviewer, ended)) if reviewer else None
        traffic = _Traffic(endpoint, inputs, plan, desk)
        async with asyncio.TaskGroup() as tasks:
            await traffic.run(tasks, ended, advance)
    return traffic.outcome


@asynccontextmanager
async def _ended_by(stop: threading.Event) -> AsyncIterator[asyncio.Event]:
    """An event that is set soon after ``stop`` is, or by a signal, which only a main thread may ask for."""
    ended = asyncio.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with beside([partial(_look, stop, ended)]):
        yield ended


async def _look(stop: threading.Event, ended: asyncio.Event) -> None:
    while not stop.is_set():
        await asyncio.sleep(LOOK_SECONDS)
    ended.set()


class _Traffic:
    def __init__(self, endpoint: Endpoint, inputs: Inputs[Any], plan: Plan, desk: Desk | None) -> None:
        self.outcome = Outcome(feedback=desk.outcome) if desk else Outcome()
        self._endpoint = endpoint
        self._inputs = inputs
        self._plan = plan
        self._desk = desk
        self._random = Random(plan.seed)  # noqa: S311  (nothing secret)
        self._reviewing = Random(f"reviewing {plan.seed}")  # noqa: S311  (nothing secret)
        self._slots = asyncio.Semaphore(IN_FLIGHT)

    async def run(self, tasks: asyncio.TaskGroup, ended: asyncio.Event, advance: Advance) -> None:
        """Begin every request when it is due, or once a slot is free."""
        plan, begun, told, due = self._plan, time.monotonic(), 0, 0.0
        while (due := due + self._random.expovariate(plan.rate)) < plan.seconds:
            chosen = self._inputs.choose(self._random, due / plan.seconds)
            desk = self._desk if self._desk and self._reviewing.random() < self._desk.share else None
            if await set_within(ended, begun + due - time.monotonic()):
                break
            await self._slots.acquire()
            now = time.monotonic() - begun
            self.outcome.late += now - due > LATE_SECONDS
            tasks.create_task(self._ask(chosen, desk))
            if int(now) > told:
                advance(int(now) - told, f"{self.outcome.requests:,} asked, {self.outcome.failures:,} failed")
                told = int(now)
            if now > plan.seconds:
                break

    async def _ask(self, chosen: Input, desk: Desk | None) -> None:
        try:
            sent = await asyncio.to_thread(self._inputs.sent, chosen)
            now = datetime.now(UTC)
            reply = await ask(self._endpoint, sent)
        except ImageError:  # gone meanwhile; there are others
            return
        finally:
            self._slots.release()
        self._note(chosen, now, reply)
        if desk and chosen.label and reply.seconds is not None:
            await desk.file(reply.prediction, chosen.label)

    def _note(self, chosen: Input, now: datetime, reply: Reply) -> None:
        self.outcome.labels.update(reply.labels)
        self.outcome.rows.append(
            Row(
                time=now.isoformat(timespec="milliseconds"),
                folder=chosen.folder,
                path=chosen.name,
                label=chosen.label,
                drift=self._inputs.drift.kind or "",
                strength=chosen.strength,
                answer=reply.label,
                confidence=reply.confidence,
                predictor=reply.predictor,
                version=reply.version,
                status=reply.status,
                seconds=reply.seconds,
                prediction_id=reply.prediction,
            )
        )
