import io
import re
from contextlib import redirect_stderr

from hypothesis import given
from hypothesis import strategies as st

from bonafide import progress

titles = st.from_regex(r"[A-Z][a-z]+( [a-z]+){0,3}", fullmatch=True)
details = st.text(st.characters(exclude_characters="\n/"), max_size=40)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(what: str, total: int, steps: list[int], detail: str = "", stream: io.StringIO | None = None):
    stream = stream or io.StringIO()
    with redirect_stderr(stream), progress.progress(what, total) as advance:
        for step in steps:
            advance(step, detail=detail)
    return stream.getvalue()


@given(what=titles, total=st.integers(1, 10**9), detail=details)
def test_what_is_printed_is_read_back(what, total, detail):
    (line,) = printed(what, total, [total], detail).split("\n")[:-1]
    assert progress.parse(line) == (what, total, total, detail)
    assert progress.parse(f"  {line} ") == (what, total, total, detail)


@given(st.text())
def test_any_other_line_is_none(text):
    assert progress.parse(text) is None
    assert progress.parse(f"progress: {text}") is None or re.search(r"\d/\d", text)


def test_a_line_a_second_at_most_and_always_the_last():
    lines = [progress.parse(line) for line in printed("Work", 5000, [1] * 5000).splitlines()]
    assert [done for _, done, _, _ in lines] == [1, 5000]


def test_a_slow_step_is_told_between(monkeypatch):
    clock = iter(range(100, 1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    lines = printed("Work", 4, [1] * 4).splitlines()
    assert [progress.parse(line)[1] for line in lines] == [1, 2, 3, 4]


def test_a_terminal_gets_a_bar():
    shown = printed("Training", 3, [1, 2], "accuracy 0.9", Terminal())
    assert "Training" in shown
    assert "progress:" not in shown
