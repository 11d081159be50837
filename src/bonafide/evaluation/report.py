"""Reports for people: self-contained HTML pages of an evaluation and of a gate verdict.

Importing this module loads matplotlib; import it where a report is written.
"""

from collections.abc import Collection, Mapping, Sequence

from bonafide.evaluation import plots
from bonafide.evaluation.contributions import Case
from bonafide.evaluation.failures import known_failures
from bonafide.evaluation.gallery import Tile, gallery, legend
from bonafide.evaluation.gate import Verdict
from bonafide.evaluation.importance import Importance
from bonafide.evaluation.intervals import about_intervals
from bonafide.evaluation.metrics import Certainty, Metrics
from bonafide.evaluation.robustness import Degraded
from bonafide.pages import percent, render


def evaluation_html(
    title: str,
    metrics: Metrics,
    *,
    certainty: Certainty | None = None,
    robustness: Sequence[Degraded] = (),
    importance: Sequence[Importance] = (),
    history: Sequence[Mapping[str, float]] = (),
    tiles: Sequence[Tile] = (),
    cases: Sequence[Case] = (),
    unseen: Collection[str] = (),
    facts: Mapping[str, str] | None = None,
    groups_are: str = "",
) -> str:
    """One page about how good a model is and where it fails. A part without facts is left out.

    Args:
        title: of the task.
        metrics: on held-out inputs.
        certainty: how often answers are uncertain.
        robustness: accuracy under degradations.
        importance: how much accuracy rests on each column.
        history: one mapping an epoch, as for :func:`bonafide.evaluation.plots.training_curves`.
        tiles: wrong and right answers, for instance those of
            :func:`~bonafide.evaluation.failures.confident_errors` and
            :func:`~bonafide.evaluation.failures.representatives`.
        cases: the same of a table.
        unseen: values of slices that were kept out of training.
        facts: where the model is from, e.g. ``{"data digest": "…", "run": "…"}``.
        groups_are: what a group is in this task, as one sentence.
    """
    return render(
        "evaluation.html",
        title=title,
        headline=f"Right on {percent(metrics.accuracy.value)} of {metrics.n:,} held-out {metrics.noun}s",
        metrics=metrics,
        certainty=certainty,
        robustness=robustness,
        importance=importance,
        history=history,
        wrong=gallery([tile for tile in tiles if not tile.correct]),
        right=gallery([tile for tile in tiles if tile.correct]),
        cases=cases,
        legend=legend(),
        unseen=unseen,
        failures=known_failures(metrics, robustness),
        intervals=about_intervals(metrics.n, metrics.groups, groups_are, metrics.noun),
        facts=facts or {},
        plots=plots,
    )


def gate_html(verdict: Verdict, title: str) -> str:
    """One page that says whether the model is promoted, and why check by check.

    Args:
        verdict: what ``gate.json`` holds.
        title: of the task.
    """
    return render("gate.html", title=title, headline=headline(verdict), verdict=verdict)


def headline(verdict: Verdict) -> str:
    """The verdict in one line, e.g. ``Promoted: all 5 checks passed``."""
    total = len(verdict.checks)
    failed = sum(not check.passed for check in verdict.checks)
    if verdict.promote:
        return f"Promoted: all {total} checks passed"
    return f"Refused: {failed} of {total} checks failed"
