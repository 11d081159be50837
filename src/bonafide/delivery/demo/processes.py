"""What a demonstration starts: processes of a state folder of its own, which end with it."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx

from bonafide.errors import BonafideError, ConfigError
from bonafide.home import DELIVERY, PACKAGES, PUBLIC_KEY, REGISTRY, SIGNING_KEY, STORE

PLACES = (REGISTRY, PACKAGES, DELIVERY, SIGNING_KEY, PUBLIC_KEY, STORE)
START_SECONDS, STOP_SECONDS = 90, 30


@contextmanager
def own_home(folder: Path, **variables: str) -> Iterator[None]:
    """State lies in ``folder``, for the processes started meanwhile too; no place of a team is used."""
    changed = {"BONAFIDE_HOME": str(folder), DELIVERY: str(folder / "delivery"), **variables}
    before = {name: os.environ.get(name) for name in (*PLACES, *changed)}
    for name in PLACES:
        os.environ.pop(name, None)
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@contextmanager
def running(
    command: Sequence[str], errors: IO[str], output: IO[str] | int, folder: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A process, told to stop at the end."""
    process = subprocess.Popen(command, stdout=output, stderr=errors, text=True, cwd=folder)  # noqa: S603  (no shell)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def bonafide(*words: str) -> list[str]:
    """Our own command."""
    return [sys.executable, "-m", "bonafide", *words]


@contextmanager
def announced(
    command: Sequence[str], log: Path, pattern: re.Pattern[str], folder: Path | None = None
) -> Iterator[str]:
    """A process that says its address in the first line that it prints.

    Raises:
        BonafideError: it does not.
    """
    with log.open("w") as errors, running(command, errors, subprocess.PIPE, folder) as process:
        assert process.stdout
        if not (found := pattern.search(process.stdout.readline())):
            raise BonafideError(f"{command[3]} did not start; {log} says why")
        yield found[1]


@contextmanager
def ready(command: Sequence[str], log: Path, url: str) -> Iterator[None]:
    """A process that answers at ``url`` once it is there.

    Raises:
        BonafideError: it does not answer in time.
    """
    with log.open("w") as output, running(command, output, output) as process:
        until = time.monotonic() + START_SECONDS
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > until:
                raise BonafideError(f"{Path(command[0]).name} did not start; {log} says why")
            time.sleep(0.2)
        yield


def program(*names: str) -> str:
    """The path of a program that goes by one of these names.

    Raises:
        ConfigError: there is none.
    """
    for name in names:
        if found := shutil.which(name):
            return found
    raise ConfigError(
        f"{names[0]} is not installed; on Debian: apt install prometheus prometheus-alertmanager"
    )


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False
