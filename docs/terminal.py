"""The last part of what the demo prints, as an SVG that looks the same in every viewer."""

import io
import re
from typing import Any

from rich.console import Console

from bonafide.cli import outcome
from bonafide.cli.demo import SHOWN_PER_LABEL

COLUMNS = 114
FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"
LINE, HALF = 24.4, 12.2
"""Height of a line of rich's SVG, and the half of it."""
ABOVE = 18.5
"""From a line's upper edge to the base of its letters."""
ARMS = {
    "─": "0101", "│": "1010", "├": "1110", "┤": "1011", "┼": "1111", "└": "1100", "┴": "1101", "┘": "1001",
    "━": "0202", "┃": "2020", "┏": "0220", "┳": "0222", "┓": "0022", "┡": "2210", "╇": "2212", "┩": "2012",
}  # fmt: skip
"""How thick each border's arms are: up, right, down, left."""
TEXT = re.compile(r'<text class="(\S+)" x="(\S+)" y="(\S+)" textLength="(\S+)"[^>]*>(.*?)</text>')
FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def drawing(summary: dict[str, Any]) -> str:
    """The metrics, the gate and two answers a label, printed by the functions that printed them in the demo.

    Borders are drawn, since those of most fonts leave gaps between lines. Nothing is fetched.
    """
    console = Console(file=io.StringIO(), record=True, width=COLUMNS, highlight=False)
    outcome.print_verdict(console, summary)
    model = summary["model"]
    shown = [answer for number, answer in enumerate(summary["predictions"]) if number % SHOWN_PER_LABEL < 2]
    outcome.print_predictions(console, summary | {"predictions": shown}, model["version"], model["asked_at"])
    svg = console.export_svg(title="make demo", font_aspect_ratio=0.6, unique_id="demo")
    svg = FONT_FACE.sub("", svg).replace("Fira Code, monospace", FONT)
    return TEXT.sub(_with_drawn_borders, svg)


def _with_drawn_borders(found: re.Match[str]) -> str:
    style, x, y, width, content = found.groups()
    letters = content.replace("&#160;", " ")
    if not set(letters) & set(ARMS):
        return found[0]
    step = float(width) / len(letters)
    path = "".join(
        _arms(ARMS[letter], float(x) + number * step, float(y) - ABOVE, step)
        for number, letter in enumerate(letters)
        if letter in ARMS
    )
    return f'<path class="{style}" d="{path}"/>'


def _arms(thickness: str, x: float, y: float, width: float) -> str:
    """The arms of a border as rectangles of a path."""
    up, right, down, left = (1.4 * int(each) for each in thickness)
    middle, centre, across, along = x + width / 2, y + HALF, max(left, right) / 2, max(up, down) / 2
    return "".join(
        f"M{left_:.1f} {top:.1f}h{wide:.1f}v{high:.1f}h-{wide:.1f}z"
        for left_, top, wide, high in (
            (middle - up / 2, y, up, HALF + across),
            (middle - along, centre - right / 2, width / 2 + along, right),
            (middle - down / 2, centre - across, down, HALF + across),
            (x, centre - left / 2, width / 2 + along, left),
        )
        if wide and high
    )
