import io

from rich.console import Console

from bonafide.cli.outcome import print_summary
from bonafide.evaluation.gate import Check


def test_a_check_keeps_its_unit():
    interval = {"value": 0.9, "low": 0.8, "high": 0.95}
    checks = [
        Check(
            name="test groups", measured=9.7, unit="equal groups", required="at least 8", passed=True, why=""
        ),
        Check(name="latency", measured=12.5, unit="ms", required="at most 100 ms", passed=True, why=""),
        Check(name="accuracy", measured=0.9, required="at least 0.85", passed=True, why=""),
        Check(name="ECE", required="at most 0.1", passed=False, why=""),
    ]
    summary = {
        "dataset": {"counts": {"test": {"real": 1}}},
        "metrics": dict.fromkeys(("accuracy", "macro_f1", "auroc", "ece"), interval),
        "gate": {"promote": True, "checks": [check.model_dump() for check in checks]},
    }
    stream = io.StringIO()
    print_summary(Console(file=stream, width=120), summary)
    table = stream.getvalue().split("Gate")[1]
    for measured in ("9.7 equal groups", "12.5 ms", " 0.900 ", " – "):
        assert measured in table
