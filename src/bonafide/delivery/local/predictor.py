"""One predictor of the manifest, as a process that is started again when it dies."""

import asyncio
import logging
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from bonafide.delivery.current import InService
from bonafide.errors import BonafideError
from bonafide.serving.child import announced, command

logger = logging.getLogger(__name__)

FIRST_PAUSE, DOUBLINGS = 1.0, 6
SETTLED_SECONDS = 60.0
GRACE_SECONDS = 30.0
# As kserve/runtime.yaml has it for liveness.
PROBE_SECONDS, PROBE_TIMEOUT, MISSES = 10.0, 5.0, 3
TOLD_BYTES = 1000
TIMEOUT = httpx.Timeout(30, connect=3, pool=None)  # a predictor gives up after 10 s
CONNECTIONS = httpx.Limits(max_connections=None, max_keepalive_connections=64)


class Predictor:
    """Runs from :meth:`start` to :meth:`stop`.

    Args:
        public_key: the key, or the folder of keys, that packages must be signed for.
        changed: called when it becomes ready, and when it is not any more.

    Attributes:
        pod: its name and the time in milliseconds at which its process began; a restart is another pod.
        url: its address; empty while it does not answer.
    """

    def __init__(self, name: str, served: InService, public_key: Path, changed: Callable[[], None]) -> None:
        self.name = name
        self.served = served
        self.pod = self.url = ""
        self.http = httpx.AsyncClient(timeout=TIMEOUT, trust_env=False, limits=CONNECTIONS)
        self._public_key = public_key
        self._changed = changed
        self._begun = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._running: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether it answers."""
        return bool(self.url)

    def start(self) -> None:
        """Run it in the background, with a longer pause after each failure."""
        self._running = asyncio.create_task(self._run())

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Around a request: :meth:`stop` waits for its end."""
        self._begun += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._begun -= 1
            if not self._begun:
                self._idle.set()

    async def stop(self) -> None:
        """End it after the requests that have begun. Give it no more of them."""
        if self.ready:
            await self._idle.wait()
        if self._running:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self.http.aclose()

    async def _run(self) -> None:
        failures, told = 0, ""
        while True:
            begun = time.monotonic()
            try:
                reason = await self._once()
            except (BonafideError, OSError) as error:
                reason = str(error)
            if time.monotonic() - begun > SETTLED_SECONDS:
                failures, told = 0, ""
            if reason != told:
                logger.error("a predictor does not run", extra=self._fields(reason=reason))
            pause = FIRST_PAUSE * 2 ** min(failures, DOUBLINGS)
            failures, told = failures + 1, reason
            await asyncio.sleep(pause)

    async def _once(self) -> str:
        """One process, from its start to its end; why it ended."""
        package = await asyncio.to_thread(lambda: self.served.package)
        options = ("--http-port=0", "--grpc-port=0", "--watch=0", f"--public-key={self._public_key}")
        pod = f"{self.name}-{time.time_ns() // 1_000_000}"
        process = await asyncio.create_subprocess_exec(
            *command(package, self.served.version, *options),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,  # Ctrl-C is for the front, which ends its predictors last
        )
        said = asyncio.create_task(_passed_on(process))
        try:
            assert process.stdout
            if addresses := announced((await process.stdout.readline()).decode()):
                self.pod, self.url = pod, addresses[0]
                logger.info("a predictor is ready", extra=self._fields(pod=pod, url=self.url))
                self._changed()
                await self._watch(process)
            code = await process.wait()
            return f"it ended with code {code}: {(await said).strip()}"
        finally:
            if self.ready:
                self.url = ""
                self._changed()
            await _end(process)
            said.cancel()

    async def _watch(self, process: Process) -> None:
        """Until it has ended; one that does not answer any more is killed."""
        ended, misses = asyncio.create_task(process.wait()), 0
        try:
            while misses < MISSES and not ended.done():
                await asyncio.wait([ended], timeout=PROBE_SECONDS)
                misses = 0 if ended.done() or await self._lives() else misses + 1
        finally:
            ended.cancel()
        if misses:
            logger.error("a predictor does not answer", extra=self._fields(pod=self.pod))
            process.kill()

    async def _lives(self) -> bool:
        try:
            answer = await self.http.get(f"{self.url}/v2/health/live", timeout=PROBE_TIMEOUT)
        except httpx.HTTPError:
            return False
        return answer.is_success

    def _fields(self, **more: object) -> dict[str, object]:
        return {"predictor": self.name, "version": self.served.version, **more}


async def _passed_on(process: Process) -> str:
    """Pass on what a process says on standard error; its last words."""
    assert process.stderr
    last = b""
    while part := await process.stderr.read(2**16):
        sys.stderr.write(part.decode(errors="replace"))
        last = (last + part)[-TOLD_BYTES:]
    return last.decode(errors="replace")


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), GRACE_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
