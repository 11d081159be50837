"""The page about a drift check. Importing this module loads matplotlib."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bonafide.drift import plots
from bonafide.drift.judge import Sides
from bonafide.drift.mix import entropy
from bonafide.pages import render
from bonafide.task import Drift

if TYPE_CHECKING:
    from bonafide.drift.check import Found

HEADLINES = {
    "none": "No drift was found",
    "mix": "Classes come in another mix; no other looks were found",
    "looks": "What is asked about looks different",
    "too-few": "Too few predictions to judge",
}
TESTS = {
    "mmd": "maximum mean discrepancy",
    "ks": "Kolmogorov–Smirnov, each component",
    "uncertainty": "Kolmogorov–Smirnov of the answers' entropies",
    "labels": "chi-square of the answered labels",
}
UNITS = {"width": "width, pixels", "height": "height, pixels", "jpeg_quality": "JPEG quality"}


def drift_html(found: "Found", both: Sides | None, settings: Drift) -> str:
    """The page.

    Args:
        both: what was compared; None where it was too little.
    """
    return render(
        "drift.html",
        title=found.task,
        headline=HEADLINES[found.judgement.kind],
        found=found,
        judged=found.judgement,
        tests=TESTS,
        minimum=settings.minimum,
        span=[_time(found.begin), _time(found.end)],
        charts=_charts(found, both) if both else {},
        facts={
            "version": found.version or "–",
            "model digest": found.model_digest,
            "level": f"{found.alpha:g}",
            "seed": str(both.seed) if both else "–",
        },
    )


def _charts(found: "Found", both: Sides) -> dict[str, str]:
    judged, ours, theirs = found.judgement, both.reference, both.window
    known = (name for name in ours if name not in ("probabilities", "embedding"))
    entropies = (entropy(side["probabilities"]) for side in (ours, theirs))
    return {
        "Evidence of each detector": plots.evidence(judged.detectors, found.alpha),
        "Mix of the labels": plots.mix(judged.mix),
        f"The {both.looks} of both": plots.scatter(ours[both.looks], theirs[both.looks]),
        "Uncertainty": plots.distribution(next(entropies), next(entropies), "entropy of an answer"),
        **{
            name.replace("_", " ").capitalize().replace("Jpeg", "JPEG"): plots.distribution(
                ours[name], theirs[name], UNITS.get(name, name)
            )
            for name in known
        },
    }


def _time(seconds: float | None) -> str:
    return "–" if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
