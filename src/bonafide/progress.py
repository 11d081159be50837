"""Progress of long work: a bar on a terminal, elsewhere lines that a parent process can draw a bar from."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[..., None]

_LINE = re.compile(r"\s*progress: (?P<what>.+) (?P<done>\d+)/(?P<total>\d+)(?: \((?P<detail>.*)\))?\s*$")
_EVERY_SECONDS = 1.0


@contextmanager
def progress(what: str, total: int) -> Iterator[Advance]:
    """Show how far ``what`` is; call the yielded ``advance(steps=1, detail="")`` as work gets done.

    On a terminal (standard error) it draws a bar that goes when the work ends. Elsewhere it prints a line at
    most once a second that :func:`parse` reads back.
    """
    yield from _bar(what, total) if sys.stderr.isatty() else _lines(what, total)


def parse(line: str) -> tuple[str, int, int, str] | None:
    """``(what, done, total, detail)`` of a line that :func:`progress` printed, or None for any other line."""
    match = _LINE.match(line)
    if match is None:
        return None
    return match["what"], int(match["done"]), int(match["total"]), match["detail"] or ""


def _bar(what: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    detail_column = TextColumn("{task.fields[detail]}")
    with Progress(*columns, detail_column, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=total, detail="")

        def advance(steps: int = 1, detail: str = "") -> None:
            bars.update(task, advance=steps, detail=detail)

        yield advance


def _lines(what: str, total: int) -> Iterator[Advance]:
    done, printed = 0, 0.0

    def advance(steps: int = 1, detail: str = "") -> None:
        nonlocal done, printed
        done += steps
        if done >= total or time.monotonic() - printed >= _EVERY_SECONDS:
            printed = time.monotonic()
            sys.stderr.write(f"progress: {what} {done}/{total}{f' ({detail})' if detail else ''}\n")
            sys.stderr.flush()

    yield advance
