"""Following a local run: kfp's log is kept in a file and told as steps."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from bonafide import progress

_COLOUR = re.compile(r"\x1b\[\d+m")
_STARTED = re.compile(r"Executing task '(?P<name>[\w-]+)'")
_CACHED = re.compile(r"Task (?P<name>[\w-]+) cache hit \(key=(?P<key>\w+)\)")
_ENDED = re.compile(r"Task '(?P<name>[\w-]+)' finished with status (?P<state>\w+)")
_ERROR = re.compile(r"\s*(?:bonafide\.errors|bonafide\.serving\.\w+)\.\w+Error: (?P<message>.+)")


@dataclass
class Step:
    """One executed task; ``cache_key`` is set when its outputs came from the cache.

    ``error`` is the message of the last error that it raised for a user to mend. ``done`` of ``total`` is
    how far its present work is; ``total`` is 0 where that is not known.
    """

    name: str
    seconds: float = 0.0
    cache_key: str = ""
    state: str = "RUNNING"
    detail: str = ""
    error: str = ""
    done: int = 0
    total: int = 0
    started: float = field(default_factory=time.monotonic)


class StepLog:
    """A stream that stands in for standard output while kfp runs: lines go to ``log`` and become steps.

    ``on_change`` is called with the step that changed.
    """

    def __init__(self, log: TextIO, on_change: Callable[[Step], None]) -> None:
        self.steps: list[Step] = []
        self._log, self._on_change, self._rest = log, on_change, ""

    @property
    def error(self) -> str:
        """What the first step that failed said for a user to mend; empty if there is no such thing."""
        return next((step.error for step in self.steps if step.state == "FAILURE"), "")

    def write(self, text: str) -> int:
        """Take what kfp or a component prints."""
        self._log.write(text)
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._read(_COLOUR.sub("", line))
        return len(text)

    def flush(self) -> None:
        """Make what was written so far visible in the file."""
        self._log.flush()

    def isatty(self) -> bool:
        """Never a terminal."""
        return False

    def _read(self, line: str) -> None:
        if match := _STARTED.search(line):
            self._change(self._step(match["name"]), detail="")
        elif match := _CACHED.search(line):
            self._change(self._step(match["name"]), cache_key=match["key"], state="SUCCESS")
        elif match := _ENDED.search(line):
            step = self._step(match["name"])
            self._change(
                step, seconds=time.monotonic() - step.started, state=match["state"], detail="", total=0
            )
        elif self.steps and (match := _ERROR.match(line)):
            self.steps[-1].error = match["message"]
        elif self.steps and (told := progress.parse(line)):
            what, done, total, detail = told
            shown = f"{what} {done}/{total} {detail}".strip()
            self._change(self.steps[-1], detail=shown, done=done, total=total)

    def _step(self, name: str) -> Step:
        """The running step of that name; a retried task is one step."""
        for step in self.steps:
            if step.name == name:
                return step
        self.steps.append(Step(name))
        return self.steps[-1]

    def _change(self, step: Step, **values: str | float) -> None:
        for key, value in values.items():
            setattr(step, key, value)
        self._on_change(step)


def output_path(step: Step, run: Path, cache: Path, output: str) -> Path:
    """Where an artifact of a step lies: in this run's folder, or where the cached run left it."""
    import json

    if not step.cache_key:
        return next(run.glob(f"*/{step.name}/{output}"))
    entry = next(cache.glob(f"{step.cache_key}*.json"))
    return Path(json.loads(entry.read_text())[output]["uri"])
