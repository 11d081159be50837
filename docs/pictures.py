"""Make docs/images anew from a finished demo: ``make pictures``.

The terminal is what the demo printed, as SVG. Pages are photographed by Chromium on a screen of two dots a
pixel, and cut where they end or after the first screen.
"""

import io
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonafide.errors import BonafideError
from bonafide.files import write_bytes, write_text
from bonafide.home import home
from docs import terminal

IMAGES = Path(__file__).parent / "images"
WIDTH, DOTS = 1000, 2
"""Of the screen in CSS pixels, and how many dots are one pixel's width."""
HEIGHTS = {"validation": 930, "evaluation": 1080, "gate": 1300, "heatmaps": 1100, "api": 1000}
"""CSS pixels that a picture has at most."""
GAP = 14 * DOTS
"""Blank rows that a picture ends with."""


def main() -> None:
    """Write every picture."""
    demo = home() / "demo"
    summary = json.loads((demo / "summary.json").read_text())
    write_text(IMAGES / "demo.svg", terminal.drawing(summary))
    for name in ("validation", "evaluation", "gate"):
        photograph((demo / "reports" / f"{name}.html").as_uri(), name)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "failures.html")
        page.write_text(only((demo / "reports" / "evaluation.html").read_text(), "failures"))
        photograph(page.as_uri(), "heatmaps")
    with service(summary["model"]["package"]) as url:
        photograph(f"{url}/docs", "api")


def photograph(url: str, name: str) -> None:
    """Save the first screen of a page as lossless WebP, without what is blank at its end."""
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder, "shot.png")
        # Chromium refuses to sandbox what root starts; these pages are our own.
        options = ["--headless", "--hide-scrollbars", "--no-sandbox", f"--screenshot={shot}"]
        options += [f"--force-device-scale-factor={DOTS}", f"--window-size={WIDTH},{HEIGHTS[name]}"]
        options += ["--virtual-time-budget=10000", f"--user-data-dir={folder}/profile"]
        subprocess.run(  # noqa: S603  (no shell, our own pages)
            [_chromium(), *options, url], check=True, capture_output=True, timeout=120
        )
        pixels = np.asarray(Image.open(shot).convert("RGB"))
    stream = io.BytesIO()
    Image.fromarray(pixels[: _end(pixels)]).save(stream, "WEBP", lossless=True, method=6)
    write_bytes(IMAGES / f"{name}.webp", stream.getvalue())
    sys.stdout.write(f"wrote {IMAGES / name}.webp, {len(stream.getvalue()) / 1000:.0f} kB\n")


def only(page: str, section: str) -> str:
    """A page that shows one of its sections."""
    style = f"<style>nav, header, footer, main > :not(#{section}) {{ display: none }}</style>"
    return page.replace("</head>", f"{style}</head>", 1)


@contextmanager
def service(package: str) -> Iterator[str]:
    """The service API on a free port."""
    command = [sys.executable, "-m", "bonafide", "api", package, "--port", "0"]
    process = subprocess.Popen(  # noqa: S603  (our own command, no shell)
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout
        yield process.stdout.readline().split()[3].rstrip(",")
    finally:
        process.terminate()
        process.wait()


def _end(pixels: NDArray[np.uint8]) -> int:
    """The row to cut at: after the last line of a page, or between the last lines that a screen has whole."""
    blank = (pixels == pixels[0, 0]).all((1, 2))
    page = int(np.flatnonzero(~blank)[-1]) + 1
    if page + GAP <= len(blank):
        return page + GAP
    gaps = np.lib.stride_tricks.sliding_window_view(blank, GAP).all(1)
    return int(np.flatnonzero(gaps)[-1]) + GAP


def _chromium() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        raise BonafideError("the pictures need Chromium; on Debian: apt install chromium")
    return found


if __name__ == "__main__":
    main()
