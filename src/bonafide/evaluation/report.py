"""Reports for people: self-contained HTML pages of an evaluation and of a gate verdict.

Importing this module loads matplotlib; import it where a report is written.
"""

from collections.abc import Collection, Mapping, Sequence

from bonafide.evaluation import plots
from bonafide.evaluation.compare import Comparison
from bonafide.evaluation.failures import known_failures
from bonafide.evaluation.gallery import Tile, gallery, legend
from bonafide.evaluation.gate import Verdict
from bonafide.evaluation.metrics import Metrics
from bonafide.evaluation.robustness import Degraded
from bonafide.pages import percent, render

RESAMPLED_IMAGES = (
    "Intervals come from resampling images. Images cut from one photograph are alike, so for new photographs "
    "the true uncertainty is larger than the intervals show."
)
NO_TRANSFER = "Skill does not transfer to generators that are not listed here."


def evaluation_html(
    title: str,
    metrics: Metrics,
    *,
    comparison: Comparison | None = None,
    robustness: Sequence[Degraded] = (),
    history: Sequence[Mapping[str, float]] = (),
    tiles: Sequence[Tile] = (),
    unseen: Collection[str] = (),
    caveats: Sequence[str] = (),
    facts: Mapping[str, str] | None = None,
) -> str:
    """One page about how good a model is and where it fails. A part without facts is left out.

    Args:
        title: of the task.
        metrics: on held-out images.
        comparison: with the champion.
        robustness: accuracy under degradations.
        history: one mapping an epoch, as for :func:`bonafide.evaluation.plots.training_curves`.
        tiles: wrong and right answers, for instance those of
            :func:`~bonafide.evaluation.failures.confident_errors` and
            :func:`~bonafide.evaluation.failures.representatives`.
        unseen: generators that were kept out of training.
        caveats: what else a reader must know, beside what holds for every evaluation.
        facts: where the model is from, e.g. ``{"data digest": "…", "run": "…"}``.
    """
    return render(
        "evaluation.html",
        title=title,
        headline=f"Right on {percent(metrics.accuracy.value)} of {metrics.n:,} held-out images",
        metrics=metrics,
        comparison=comparison,
        robustness=robustness,
        history=history,
        wrong=gallery([tile for tile in tiles if not tile.correct]),
        right=gallery([tile for tile in tiles if tile.correct]),
        legend=legend(),
        unseen=unseen,
        failures=known_failures(metrics, robustness),
        caveats=(*caveats, NO_TRANSFER, RESAMPLED_IMAGES),
        facts=facts or {},
        plots=plots,
    )


def gate_html(verdict: Verdict, title: str, facts: Mapping[str, str] | None = None) -> str:
    """One page that says whether the model is promoted, and why check by check.

    Args:
        verdict: what ``gate.json`` holds.
        title: of the task.
        facts: where the model is from, as for :func:`evaluation_html`.
    """
    return render("gate.html", title=title, headline=headline(verdict), verdict=verdict, facts=facts or {})


def headline(verdict: Verdict) -> str:
    """The verdict in one line, e.g. ``Promoted: all 5 checks passed``."""
    total = len(verdict.checks)
    failed = sum(not check.passed for check in verdict.checks)
    if verdict.promote:
        return f"Promoted: all {total} checks passed"
    return f"Refused: {failed} of {total} checks failed"
