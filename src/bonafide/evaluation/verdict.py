"""The gate step: from measured files to ``gate.json`` and a page that says why."""

from pathlib import Path

from bonafide.evaluation.champion import read_comparison
from bonafide.evaluation.gate import Verdict, decide
from bonafide.evaluation.measured import read_measured
from bonafide.files import new_folder, write_text
from bonafide.task import Gate

VERDICT, REPORT = "gate.json", "gate.html"


def judge(evaluation: Path, comparison: Path, out: Path, config: Gate) -> Verdict:
    """Decide, and write ``gate.json`` and ``gate.html`` to ``out``."""
    from bonafide.evaluation.report import gate_html

    measured = read_measured(evaluation)
    verdict = decide(
        measured.metrics, read_comparison(comparison), config, measured.robustness, measured.latency_ms
    )
    with new_folder(out, VERDICT) as folder:
        write_text(folder / VERDICT, verdict.model_dump_json(indent=2) + "\n")
        write_text(folder / REPORT, gate_html(verdict, "Quality gate"))
    return verdict


def read_verdict(gate: Path) -> Verdict:
    """Read ``gate.json`` back."""
    return Verdict.model_validate_json((gate / VERDICT).read_bytes())
