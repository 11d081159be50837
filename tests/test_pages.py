import math

import pytest
from jinja2 import UndefinedError

from bonafide import pages
from bonafide.evaluation.intervals import Interval
from bonafide.pages import UNLINKED, cell, linked, number, percent, render, signed, span


def test_numbers():
    assert [number(each) for each in (8, 1234, 8.0)] == ["8", "1,234", "8.000"]
    assert [number(each) for each in (0.9125, 12.34, None, math.nan)] == ["0.912", "12.3", "–", "–"]
    assert (signed(0.5), signed(-0.25), signed(math.nan)) == ("+0.500", "-0.250", "–")
    assert (percent(0.9434), percent(math.nan)) == ("94.3 %", "–")


def test_spans():
    assert span(Interval(value=0.5, low=0.4, high=0.6)) == "0.400 – 0.600"
    assert span((-0.1, 0.1), sign=True) == "-0.100 – +0.100"
    assert span(None) == span(Interval(value=math.nan, low=math.nan, high=math.nan)) == "–"
    assert span(Interval(value=0.5, low=math.nan, high=math.nan)) == "– (too few groups)"


def test_cells_cannot_break_a_table_or_smuggle_markup():
    assert cell("a|b\n# <b> `c` [d](e)") == r"a\|b \# &lt;b&gt; \`c\` \[d\](e)"


def test_a_missing_value_is_an_error():
    with pytest.raises(UndefinedError):
        render("gate.html", title="t", headline="h")


def test_links_show_only_where_pages_lie_beside_each_other():
    page = f"<body>{UNLINKED}</body>"
    done = linked(page, {"Data audit": "validation.html", "A & B": "gate.html"}, "A & B")
    assert done == (
        '<body><nav aria-label="Reports of this run"><a href="validation.html">Data audit</a>'
        '<a href="gate.html" aria-current="page">A &amp; B</a></nav></body>'
    )
    assert linked("<body></body>", {"Gate": "gate.html"}, "Gate") == "<body></body>"


def test_one_is_not_several():
    assert pages.counted(1, "row") == "1 row was"
    assert pages.counted(2000, "row") == "2,000 rows were"
