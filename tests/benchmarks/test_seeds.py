import json
from pathlib import Path

from benchmarks.seeds import page

DOCS = Path(__file__).parents[2] / "docs" / "benchmarks"


def test_the_page_says_what_was_measured_and_nothing_else():
    assert (DOCS / "results.md").read_text() == page(json.loads((DOCS / "results.json").read_text()))
