from benchmarks.store import _latency_rows


def test_what_is_added_is_the_difference_of_medians():
    seconds = {"none": [0.010] * 9 + [0.5], "SQLite": [0.0102] * 10, "PostgreSQL": [0.0104] * 10}
    bare, sqlite, postgresql = _latency_rows(seconds)
    assert bare.startswith("| none | 10.00 |")
    assert sqlite == "| SQLite | 10.20 | 10.20 | 0.20 | yes |"
    assert postgresql.endswith("| 0.40 | **no** |")
