"""The load generator, a process of its own, with an order on standard input.

Closed loop: so many clients that each ask again once answered. Open loop: requests leave on a fixed schedule
whatever the answers do, and latency counts from the scheduled time, so a slow server cannot hide its queue
(coordinated omission).
"""

import asyncio
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import numpy as np
import uvloop

from benchmarks.serving.ask import TIMEOUT_SECONDS, Client, connect
from benchmarks.serving.dialects import Probabilities

TOLERANCE = 1e-3
MOST_OUTSTANDING = 512
PAUSE_SECONDS = 0.01  # after a failure, so that a refusing server is not hammered


@dataclass(frozen=True)
class Order:
    """What to send: ``rate`` requests a second, or as many at once as ``clients`` if ``rate`` is 0.

    The files ``0``, ``1`` … of the folder ``subject`` are sent, whatever their ending; ``expected`` is a file
    of right answers, float32 [files, K].
    ``count`` ends a closed loop early; ``seconds`` ends it in any case.
    """

    url: str
    dialect: str
    subject: str
    expected: str
    seconds: float
    clients: int = 8
    rate: float = 0.0
    warm_seconds: float = 0.0
    count: int = 0


@dataclass
class Outcome:
    """What came back. ``begin`` and ``end`` are on the machine's monotonic clock; latencies in seconds.

    A failed request has no latency; ``failures`` counts them by reason, those of the warm-up too.
    """

    begin: float = 0.0
    end: float = 0.0
    latencies: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)


class Run:
    """One order being carried out."""

    def __init__(self, order: Order) -> None:
        files = sorted(Path(order.subject).glob("[0-9]*.*"), key=lambda file: int(file.stem))
        self._expected = np.load(order.expected)
        self._order = order
        self._client: Client = connect(
            order.url, order.dialect, [file.read_bytes() for file in files], order.clients
        )
        self._asked = 0
        self._outcome = Outcome()

    async def carry_out(self) -> Outcome:
        """Warm up, then measure."""
        await (self._open() if self._order.rate else self._closed())
        await self._client.close()
        return self._outcome

    async def _closed(self) -> None:
        """Warm-up and measurement are one loop, of which answers within the window count."""
        begin = self._outcome.begin = monotonic() + self._order.warm_seconds
        end = self._outcome.end = begin + self._order.seconds

        async def client() -> None:
            while monotonic() < end and not 0 < self._order.count <= self._asked:
                asked = monotonic()
                latency = await self._ask()
                if latency and begin <= asked + latency <= end:
                    self._outcome.latencies.append(latency)

        await asyncio.gather(*(client() for _ in range(self._order.clients)))
        self._outcome.end = min(end, monotonic())

    async def _open(self) -> None:
        outstanding: set[asyncio.Task[None]] = set()
        begin = self._outcome.begin = monotonic()
        for number in range(int(self._order.seconds * self._order.rate)):
            due = begin + number / self._order.rate
            await asyncio.sleep(max(0.0, due - monotonic()))
            if len(outstanding) >= MOST_OUTSTANDING:
                self._outcome.failures["not sent: too many unanswered"] += 1
                continue
            task = asyncio.create_task(self._ask_due(due))
            outstanding.add(task)
            task.add_done_callback(outstanding.discard)
        self._outcome.end = monotonic()
        await asyncio.gather(*outstanding)

    async def _ask_due(self, due: float) -> None:
        late = monotonic() - due
        if latency := await self._ask():
            self._outcome.latencies.append(late + latency)

    async def _ask(self) -> float | None:
        """Seconds until the right answer, or None for a failure."""
        file, begun = self._asked % len(self._expected), monotonic()
        self._asked += 1
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                found = await self._client.ask(file)
        except Exception as error:  # noqa: BLE001  (whatever it is, the request failed)
            name = "timeout" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
            self._outcome.failures[name[:120]] += 1
            await asyncio.sleep(PAUSE_SECONDS)
            return None
        if not is_right(found, self._expected[file]):
            self._outcome.failures["wrong answer"] += 1
            return None
        return monotonic() - begun


def is_right(found: Probabilities, expected: Probabilities) -> bool:
    """Whether every probability is within 1e-3 of what it should be."""
    return found.shape == expected.shape and bool(np.abs(found - expected).max() <= TOLERANCE)


def main() -> None:
    """Carry out the order; print the outcome as JSON."""
    order = Order(**json.load(sys.stdin))

    async def run() -> Outcome:
        return await Run(order).carry_out()

    print(json.dumps(vars(uvloop.run(run()))))


if __name__ == "__main__":
    main()
