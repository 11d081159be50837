"""Decide whether the challenger may be promoted, and say why."""

from kfp.dsl import HTML, Artifact, Input, Output

from components import component


@component
def gate(
    evaluation: Input[Artifact],
    comparison: Input[Artifact],
    settings: dict,
    title: str,
    verdict: Output[Artifact],
    report: Output[HTML],
) -> bool:
    import shutil
    from pathlib import Path

    from bonafide.evaluation import gate
    from bonafide.task import Gate

    out, config = Path(verdict.path), Gate.model_validate(settings)
    decided = gate.gate(Path(evaluation.path), Path(comparison.path), out, config, title)
    shutil.copyfile(out / gate.GATE_REPORT, report.path)
    verdict.metadata.update(promote=decided.promote)
    return decided.promote
