from datetime import UTC, datetime

from infra.monitoring.grafana import promql, sql

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def test_variables_are_lists_of_quoted_values_and_never_nothing():
    query = "SELECT 1 FROM prediction WHERE task IN ($task) AND $__timeFilter(time)"
    between = "time BETWEEN '2026-11-29T12:00:00Z' AND '2026-11-29T12:00:00Z'"
    assert sql(query, {"task": ["pets", "o'clock"]}, NOON, NOON).endswith(
        f"IN ('pets','o''clock') AND {between}"
    )
    assert "IN ('')" in sql(query, {"task": []}, NOON, NOON)


def test_to_prometheus_they_are_patterns():
    query = 'rate(x{task=~"$task"}[$__rate_interval])'
    assert promql(query, {"task": ["a.b", "c"]}, "5m") == 'rate(x{task=~"a\\\\.b|c"}[5m])'
