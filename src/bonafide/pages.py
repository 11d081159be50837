"""The templates of reports and model cards: one style for all pages."""

import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

UNLINKED = '<nav aria-label="Reports of this run"></nav>'
"""Stands on every page, and shows nothing until :func:`linked` fills it."""


class Measured(Protocol):
    """A value and the ends of its interval, which are NaN where it has none."""

    value: float
    low: float
    high: float


def render(template: str, **context: Any) -> str:
    """Fill one of ``templates/``; ``.html`` is escaped, Markdown escapes through its ``cell`` filter."""
    return _environment().get_template(template).render(context)


def linked(page: str, files: Mapping[str, str], current: str) -> str:
    """The page with links to the pages that lie beside it.

    Args:
        page: from :func:`render`.
        files: by title the name of each page's file, this one's included.
        current: title of this page.
    """
    link, here = Markup('<a href="{}"{}>{}</a>'), Markup(' aria-current="page"')
    links = (link.format(file, here if title == current else "", title) for title, file in files.items())
    return page.replace(UNLINKED, UNLINKED.replace("></", f">{''.join(links)}</"), 1)


def number(value: float | None) -> str:
    """``0.912``, ``12.3``, ``1,234`` for a count, or a dash for what was not measured."""
    if isinstance(value, int):
        return f"{value:,}"
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def quantity(value: float | None, unit: str) -> str:
    """``12.5 ms``, or as :func:`number` without a unit."""
    return f"{value:.4g} {unit}" if unit and value is not None else number(value)


def counted(count: int, noun: str) -> str:
    """``1 row was`` or ``2,000 rows were``."""
    return f"{count:,} {noun} was" if count == 1 else f"{count:,} {noun}s were"


def signed(value: float) -> str:
    """``+0.012``."""
    return f"{value:+.3f}" if math.isfinite(value) else "–"


def span(interval: Measured | tuple[float, float] | None, sign: bool = False) -> str:
    """``0.890 – 0.934``, or a dash; where there is a value, it says that groups were too few for more."""
    if interval is None:
        return "–"
    low, high = interval if isinstance(interval, tuple) else (interval.low, interval.high)
    if math.isfinite(low):
        form = signed if sign else number
        return f"{form(low)} – {form(high)}"
    undefined = isinstance(interval, tuple) or not math.isfinite(interval.value)
    return "–" if undefined else "– (too few groups)"


def percent(value: float) -> str:
    """``91.2 %``."""
    return f"{100 * value:.1f} %" if math.isfinite(value) else "–"


def cell(value: object) -> str:
    """Text as it stands, safe inside a Markdown table or sentence."""
    text = re.sub(r"([\\`*_\[\]|#$~])", r"\\\1", " ".join(str(value).split()))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("bonafide"),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["unlinked"] = UNLINKED
    environment.filters |= {
        "number": number,
        "quantity": quantity,
        "counted": counted,
        "signed": signed,
        "span": span,
        "percent": percent,
        "cell": cell,
    }
    return environment
