import json

import pytest

from bonafide.evaluation.champion import read_comparison
from bonafide.evaluation.gate import decide
from bonafide.evaluation.measured import read_measured
from bonafide.evaluation.verdict import REPORT, VERDICT, judge, read_verdict
from bonafide.task import Gate


def test_the_verdict_is_what_the_gate_decides_on_the_files(made):
    measured = read_measured(made.evaluation)
    expected = decide(
        measured.metrics,
        read_comparison(made.comparison),
        made.task.gate,
        measured.robustness,
        measured.latency_ms,
    )
    assert read_verdict(made.gate) == expected
    assert json.loads((made.gate / VERDICT).read_text())["promote"] is True
    assert sorted(path.name for path in made.gate.iterdir()) == sorted([VERDICT, REPORT])


@pytest.mark.parametrize(
    ("gate", "failed"),
    [
        (Gate(accuracy=1.0, macro_f1=0.3), "accuracy"),
        (Gate(accuracy=0.4, macro_f1=1.0), "macro F1"),
        (Gate(accuracy=0.4, macro_f1=0.3, latency_ms=1e-6), "latency"),
    ],
)
def test_a_refusal_names_what_failed(made, tmp_path, gate, failed):
    verdict = judge(made.evaluation, made.comparison, tmp_path / "gate", gate)
    assert not verdict.promote
    assert [check.name for check in verdict.checks if not check.passed] == [failed]
    (why,) = (check.why for check in verdict.checks if not check.passed)
    page = (tmp_path / "gate" / REPORT).read_text()
    assert failed in page
    assert why.split(" is ")[0] in page
