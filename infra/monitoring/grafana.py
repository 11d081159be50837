"""What Grafana asks for a panel: the variables filled in, and the macros of its PostgreSQL data source.

https://grafana.com/docs/grafana/latest/datasources/postgres/query-editor/#macros
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

Chosen = Mapping[str, Sequence[str]]
"""By the name of a variable what a reader chose at the top of the dashboard."""


def promql(query: str, chosen: Chosen, interval: str) -> str:
    """As it goes to Prometheus: each variable is a pattern for its values.

    Args:
        interval: what ``$__rate_interval`` is.
    """
    query = query.replace("$__rate_interval", interval)
    for name, values in chosen.items():
        query = query.replace(f"${name}", "|".join(map(_pattern, values)))
    return query


def sql(query: str, chosen: Chosen, start: datetime, end: datetime) -> str:
    """As it goes to PostgreSQL: each variable is a list of quoted values; that of none has an empty one."""
    for name, values in chosen.items():
        query = query.replace(f"${name}", ",".join(map(_quoted, values or [""])))
    between = rf"\1 BETWEEN {_quoted(_moment(start))} AND {_quoted(_moment(end))}"
    return re.sub(r"\$__timeFilter\(([^)]*)\)", between, query)


def _pattern(value: str) -> str:
    return re.escape(value).replace("\\", "\\\\")


def _quoted(value: str) -> str:
    return "'{}'".format(value.replace("'", "''"))


def _moment(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
