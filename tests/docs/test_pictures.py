"""The pictures of the documentation: what can be held without Chromium."""

import re
from pathlib import Path

import numpy as np
import pytest

from docs import pictures, terminal

DOCS = Path(__file__).parents[2] / "docs"
INTERVAL = {"value": 0.9, "low": 0.8, "high": 0.95}
CHECK = {"name": "accuracy", "measured": 0.9, "unit": "", "required": "at least 0.8", "passed": True}
SUMMARY = {
    "dataset": {"counts": {"test": {"real": 7, "fake": 8}}},
    "metrics": dict.fromkeys(("accuracy", "macro_f1", "auroc", "ece"), INTERVAL),
    "gate": {"promote": True, "checks": [CHECK]},
    "model": {"version": "3", "asked_at": "http://127.0.0.1:9"},
    "steps": [{"name": "ingest", "seconds": 1.5, "cached": False}],
    "predictions": [{"name": "a/b.jpg", "truth": "real", "label": "real", "probabilities": {"real": 0.75}}],
}


def test_the_terminal_says_what_the_demo_printed_last_and_fetches_nothing():
    svg = terminal.drawing(SUMMARY)
    text = re.sub(r"<[^>]+>", " ", svg).replace("&#160;", " ")
    for words in ("0.800 to 0.950", "at least 0.8", "result", "b.jpg", "75.0%"):
        assert words in text
    assert "ingest" not in text
    assert "Version 3, asked at http://127.0.0.1:9" in text
    assert "@font-face" not in svg


def test_the_committed_terminal_is_not_too_tall():
    height = re.search(r'viewBox="0 0 \S+ (\S+)"', (DOCS / "images" / "demo.svg").read_text())[1]
    assert float(height) <= 900


def test_borders_are_drawn_from_edge_to_edge():
    svg = terminal.drawing(SUMMARY)
    assert not set(svg) & set(terminal.ARMS)
    found = terminal.TEXT.match('<text class="c" x="10" y="18.5" textLength="24" clip-path="u">│─</text>')
    assert terminal._with_drawn_borders(found) == (
        '<path class="c" d="M15.3 0.0h1.4v12.2h-1.4zM15.3 12.2h1.4v12.2h-1.4z'
        'M28.0 11.5h6.0v1.4h-6.0zM22.0 11.5h6.0v1.4h-6.0z"/>'
    )


@pytest.mark.parametrize(("rows", "end"), [(range(0, 50), 50), (range(0, 160), 160), (range(0, 200), 128)])
def test_a_picture_ends_after_the_page_or_between_lines(rows, end):
    pixels = np.full((200, 4, 3), 250, np.uint8)
    pixels[list(rows), 1] = 0
    pixels[100:128] = 250
    assert pictures._end(pixels) == (end if end == 128 else end + pictures.GAP)


def test_every_picture_is_shown_and_every_shown_picture_is_there():
    pages = [DOCS.parent / "README.md", *DOCS.rglob("*.md")]
    shown = {name for page in pages for name in re.findall(r"\]\(\S*images/(\S+)\)", page.read_text())}
    assert shown == {path.name for path in (DOCS / "images").iterdir()}
    assert shown == {"demo.svg", *(f"{name}.webp" for name in pictures.HEIGHTS)}
