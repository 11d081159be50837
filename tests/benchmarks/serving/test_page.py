import json
import math
from copy import deepcopy

from benchmarks.serving import page
from benchmarks.serving.promises import promises

FIXED = {
    "p50_ms": 20.0,
    "p95_ms": 40.0,
    "p99_ms": 60.0,
    "sent": 3000,
    "failed": 0,
    "reasons": {},
    "cores": 1.1,
}
OURS = {
    "ours": True,
    "rate": 114.0,
    "share": 0.95,
    "shares": [0.94, 0.95, 0.97],
    "fixed": FIXED,
    "idle_mib": 200.0,
    "peak_mib": 300.0,
}
LOST = {"p95_ms": math.inf, "p99_ms": math.inf, "failed": 300}
PEER = OURS | {"ours": False, "rate": 57.0, "share": 0.47, "shares": [0.47], "fixed": FIXED | LOST}
RESULTS = {
    "machine": {
        "cpu": "A processor",
        "cores": 4,
        "server_cores": 2,
        "load_apart": False,
        "memory_gib": 8.0,
        "versions": {"Python": "3.11"},
    },
    "settings": "3 repeats of 15 s.",
    "limit": {"loops": {"decode and run": 120.0}, "decode_and_run": 120.0},
    "systems": {"Bonafide, REST binary": OURS, "Peer": PEER},
    "extras": {"overhead": {"total_ms": 5.0, "decode_ms": 1.0, "infer_ms": 1.5, "overhead_ms": 2.5}},
    "absent": {"Other": "cannot be installed"},
}


def kept(results):
    return {each.promised: each.kept for each in promises(results)}


def test_the_page_has_every_system_and_ratio():
    text = page.page(RESULTS)
    assert (
        "| Bonafide, REST binary | 114.0 | 0.95 | 0.94 to 0.97 | 1.00 | 20 | 40 | 60 | 0 | 55% | 200 | 300 |"
        in text
    )
    assert "| Peer | 57.0 | 0.47 |  | 2.00 | 20 | unanswered | unanswered | 10.0% | 55% | 200 | 300 |" in text
    assert "- Other: cannot be installed" in text
    assert "shares the server's cores" in text


def test_promises_are_judged_by_their_limits():
    found = kept(RESULTS)
    assert found["Bonafide, REST binary: at least 92% of the bare loop"]
    assert found["lower p95 than every peer"]
    assert not found["overhead of a request under 1.5 ms"]
    worse = deepcopy(RESULTS)
    worse["systems"]["Bonafide, REST binary"] |= {
        "rate": 50.0,
        "share": 0.4,
        "fixed": FIXED | {"cores": 1.6, "failed": 1},
    }
    found = kept(worse)
    assert not found["Bonafide, REST binary: at least 92% of the bare loop"]
    assert not found["more throughput than every peer"]
    assert not found["mean CPU of at most 75% at 50 requests/s"]
    assert not found["no failure at 50 requests/s"]


def test_what_was_not_measured_is_not_judged():
    assert list(promises(RESULTS | {"systems": {}, "extras": {}})) == []


def test_all_three_files_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "DOCS", tmp_path)
    page.write(RESULTS)
    assert json.loads((tmp_path / "serving.json").read_text())["systems"]["Peer"]["fixed"]["p95_ms"] is None
    assert "<svg" in (tmp_path / "serving.svg").read_text()
    assert (tmp_path / "serving.md").read_text() == page.page(RESULTS)
