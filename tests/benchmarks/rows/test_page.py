import json

from benchmarks.rows import page

LOOP = {"rate": 1000.0, "p50_ms": 0.9, "p95_ms": 1.5, "p99_ms": 2.0, "failed": 0, "cores": 0.5}


def visit(**changes):
    return {clients: LOOP | {"rate": rate} | changes for clients, rate in (("1", 1000.0), ("8", 2000.0))}


RESULTS = {
    "machine": {
        "cpu": "A processor",
        "cores": 4,
        "server_cores": 2,
        "load_apart": True,
        "memory_gib": 8.0,
        "versions": {"Python": "3.11"},
    },
    "seconds": 10.0,
    "limits": [40_000.0, 42_000.0, 41_000.0],
    "systems": {
        "Bonafide, v2": [visit(), visit(p50_ms=1.1), visit(p50_ms=7.0)],
        "Bonafide service API": [visit(p50_ms=3.5, rate=1200.0)],
        "MLServer": [visit(rate=1250.0, failed=3)],
    },
    "absent": {"Other": "cannot be installed"},
}


def kept(results):
    return {each.promised: (each.measured, each.kept) for each in page.promises(results)}


def test_the_page_has_every_server_by_its_clients():
    text = page.page(RESULTS)
    assert "| Bonafide, v2 | 1 | 1,000 | 1.10 | 1.50 | 2.00 | 0.50 | 0.50 | 0 |" in text
    assert "| MLServer | 8 | 1,250 | 0.90 | 1.50 | 2.00 | 0.50 | 0.40 | 3 |" in text
    assert "does 41,000 rows/s" in text
    assert "- Other: cannot be installed" in text


def test_promises_are_judged_by_their_limits():
    assert kept(RESULTS) == {
        "Bonafide, v2: p50 of one answer under 3 ms": ("1.10 ms", True),
        "Bonafide, v2: at least 1,500 requests/s": ("2,000", True),
        "Bonafide service API: p50 of one answer under 3 ms": ("3.50 ms", False),
        "Bonafide service API: at least 1,500 requests/s": ("1,200", False),
        "Bonafide, v2: more requests/s than MLServer": ("1.60 ×", True),
    }


def test_both_files_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "DOCS", tmp_path)
    page.write(RESULTS)
    assert json.loads((tmp_path / "rows.json").read_text())["limits"] == RESULTS["limits"]
    assert (tmp_path / "rows.md").read_text() == page.page(RESULTS)
