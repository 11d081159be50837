"""The two sources of the dashboards, asked as Grafana asks them."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import httpx

from bonafide.errors import BonafideError
from bonafide.feedback.database import Database
from infra.monitoring import grafana
from infra.monitoring.grafana import Chosen

POINTS = 300
SCRAPE_SECONDS = 30
"""As often as the source is said to look at its targets: the Prometheus operator's default."""
LABEL_VALUES = re.compile(r"label_values\((.+), *(\w+)\)")

Row = Mapping[str, Any]


class Series(NamedTuple):
    """A line of a graph."""

    name: str
    times: list[datetime]
    values: list[float]


class Source(Protocol):
    """Answers for a span of time.

    Raises:
        BonafideError: by each method, it does not.
    """

    def choices(self, query: str) -> list[str]:
        """The values of a variable."""

    def graph(self, target: Row, chosen: Chosen) -> list[Series]:
        """The lines of one of a panel's questions."""

    def table(self, target: Row, chosen: Chosen) -> list[Row]:
        """The rows of one of a panel's questions."""


class Prometheus:
    """Asked by its HTTP API."""

    def __init__(self, address: str, start: datetime, end: datetime) -> None:
        self._client = httpx.Client(base_url=f"{address.rstrip('/')}/api/v1/", timeout=30)
        self._start, self._end = start, end
        self._step = max(1, math.ceil((end - start).total_seconds() / POINTS))
        self._interval = f"{max(self._step + SCRAPE_SECONDS, 4 * SCRAPE_SECONDS)}s"

    def choices(self, query: str) -> list[str]:
        """What a label of a metric says within the span."""
        found = LABEL_VALUES.fullmatch(query)
        assert found, query
        return list(self._ask(f"label/{found[2]}/values", {"match[]": found[1], **self._span()}))

    def graph(self, target: Row, chosen: Chosen) -> list[Series]:
        """A value for each step."""
        query = grafana.promql(target["expr"], chosen, self._interval)
        found = self._ask("query_range", {"query": query, "step": self._step, **self._span()})["result"]
        return [
            Series(
                _named(target.get("legendFormat", ""), each["metric"]),
                [datetime.fromtimestamp(moment, UTC) for moment, _ in each["values"]],
                [float(value) for _, value in each["values"]],
            )
            for each in found
        ]

    def table(self, target: Row, chosen: Chosen) -> list[Row]:
        """What is so at the end of the span."""
        query = grafana.promql(target["expr"], chosen, self._interval)
        found = self._ask("query", {"query": query, "time": self._end.timestamp()})["result"]
        return [
            {
                "Time": datetime.fromtimestamp(each["value"][0], UTC),
                **each["metric"],
                "Value": each["value"][1],
            }
            for each in found
        ]

    def _span(self) -> dict[str, float]:
        return {"start": self._start.timestamp(), "end": self._end.timestamp()}

    def _ask(self, path: str, question: Mapping[str, Any]) -> Any:
        try:
            return self._client.get(path, params=dict(question)).raise_for_status().json()["data"]
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise BonafideError(f"Prometheus at {self._client.base_url} does not answer: {error}") from error


class PostgreSql:
    """The store of predictions, read."""

    def __init__(self, address: str, start: datetime, end: datetime) -> None:
        self._database, self._start, self._end = Database(address), start, end
        if self._database.is_file:
            raise BonafideError("the dashboard Feedback asks PostgreSQL, not SQLite; leave --store out")

    def choices(self, query: str) -> list[str]:
        """The first column."""
        return [str(value) for row in self._ask(query) for value in list(row.values())[:1]]

    def graph(self, target: Row, chosen: Chosen) -> list[Series]:
        """A line for each ``metric``."""
        lines: dict[str, Series] = {}
        for row in self.table(target, chosen):
            line = lines.setdefault(row["metric"], Series(row["metric"], [], []))
            line.times.append(row["time"])
            line.values.append(float(row["value"]))
        return list(lines.values())

    def table(self, target: Row, chosen: Chosen) -> list[Row]:
        """The rows as they are."""
        return self._ask(grafana.sql(target["rawSql"], chosen, self._start, self._end))

    def _ask(self, query: str) -> list[Row]:
        with self._database.reading() as connection:
            return [dict(row) for row in connection.exec_driver_sql(query).mappings()]


def _named(legend: str, labels: Mapping[str, str]) -> str:
    return re.sub(r"{{\s*(\w+)\s*}}", lambda found: labels.get(found[1], ""), legend).strip() or str(labels)
