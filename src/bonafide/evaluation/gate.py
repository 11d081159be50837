"""The gate step: may this model be promoted, and why (not)."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from bonafide.config import Config, read
from bonafide.errors import DataError
from bonafide.evaluation.compare import Comparison, read_comparison
from bonafide.evaluation.evaluate import read_measured
from bonafide.evaluation.intervals import FEWEST_GROUPS, Interval, enough
from bonafide.evaluation.metrics import LabelMetrics, Metrics
from bonafide.evaluation.robustness import Degraded
from bonafide.files import new_folder, write_text
from bonafide.model.latency import Latency
from bonafide.task import Gate

VERDICT, GATE_REPORT = "gate.json", "gate.html"

FIRST = "There is no champion yet, so there is nothing to be worse than."
TOO_FEW = f"rests on groups that say less than {FEWEST_GROUPS} equal ones"

Sense = Literal["at least", "at most"]


class Check(Config):
    """One requirement: what was measured, a count as an int, what was required, and a sentence for people.

    ``interval`` is a 95 % interval of the measured value, ``spread`` the 5th and 95th percentile of what it
    is the median of. All three are in ``unit``, a share of 1 if that is empty.
    """

    name: str
    measured: int | float | None = None
    unit: str = ""
    interval: tuple[float, float] | None = None
    spread: tuple[float, float] | None = None
    required: str
    passed: bool
    why: str


class Verdict(Config):
    """``promote`` is true when every check passed; ``champion`` is the version that was challenged.

    The digests are of the model and the data that were judged.
    """

    promote: bool
    champion: str | None
    model_digest: str
    data_digest: str
    checks: tuple[Check, ...]


def gate(evaluation: Path, comparison: Path, out: Path, config: Gate, title: str = "") -> Verdict:
    """Decide, and write ``gate.json`` and ``gate.html`` to ``out``.

    Args:
        title: of the task, for the report.

    Raises:
        DataError: evaluation and comparison are of different models or data.
    """
    from bonafide.evaluation.report import gate_html

    measured, compared = read_measured(evaluation), read_comparison(comparison)
    if (measured.model_digest, measured.data_digest) != (compared.model_digest, compared.data_digest):
        raise DataError(f"{comparison} is of another model or other data than {evaluation}; compare again")
    verdict = decide(measured.metrics, compared, config, measured.robustness)
    with new_folder(out, VERDICT) as folder:
        write_text(folder / VERDICT, verdict.model_dump_json(indent=2) + "\n")
        write_text(folder / GATE_REPORT, gate_html(verdict, title or "Quality gate"))
    return verdict


def read_verdict(gate: Path) -> Verdict:
    """Read ``gate.json`` back.

    Raises:
        DataError: it is not there, or was written by something else.
    """
    return read(Verdict, gate / VERDICT, "gate")


def decide(
    metrics: Metrics,
    comparison: Comparison,
    config: Gate,
    robustness: Sequence[Degraded],
) -> Verdict:
    """Hold a model against every check that is configured.

    Floors and limits judge the measured value; non-inferiority judges the lower end of the paired
    interval. What was not measured, is not a number or rests on too few groups for an interval never passes.

    Args:
        metrics: of the challenger.
        comparison: with the champion, on the same inputs; the challenger's latency.
        config: the task's gate.
        robustness: accuracy under degradations; empty if not measured.
    """
    checks = (
        *_enough(metrics, config),
        *_floors(metrics, config),
        *_labels(metrics, config),
        *_limits(metrics, config, comparison.latency),
        *_robust(config, robustness),
        _non_inferior(comparison, metrics.groups, config.non_inferiority_margin),
    )
    return Verdict(
        promote=all(check.passed for check in checks),
        champion=comparison.champion,
        model_digest=comparison.model_digest,
        data_digest=comparison.data_digest,
        checks=checks,
    )


def _enough(metrics: Metrics, config: Gate) -> Iterator[Check]:
    yield _groups(metrics, config.minimum_groups)
    label, scarcest = min(metrics.labels.items(), key=lambda each: each[1].support)
    yield _inputs(metrics.noun, label, scarcest.support, config.minimum_per_label)


def _groups(metrics: Metrics, least: int) -> Check:
    effective = round(metrics.effective_groups, 1)
    passed = enough(effective, least)
    return Check(
        name="test groups",
        measured=effective,
        unit="equal groups",
        required=f"at least {least} equal groups",
        passed=passed,
        why=f"There are {metrics.groups} test groups, which say as much as {effective} equal ones, "
        + _sufficient(passed, least),
    )


def _inputs(noun: str, label: str, count: int, least: int) -> Check:
    name, passed = f"test {noun}s of {label}", count >= least
    why = f"There are {count} {name}, {_sufficient(passed, least)}"
    return Check(name=name, measured=count, required=f"at least {least}", passed=passed, why=why)


def _sufficient(passed: bool, least: int) -> str:
    return f"{'enough' if passed else 'too few'} to judge by: at least {least} are required."


def _floors(metrics: Metrics, config: Gate) -> Iterator[Check]:
    yield _check("accuracy", metrics.accuracy, "at least", config.accuracy)
    yield _check("macro F1", metrics.macro_f1, "at least", config.macro_f1)


def _labels(metrics: Metrics, config: Gate) -> Iterator[Check]:
    for name, floors in (("recall", config.recall), ("f1", config.f1)):
        for label, floor in floors.items():
            title = f"{'F1' if name == 'f1' else name} of {label}"
            yield _check(title, _of_label(metrics.labels.get(label), name), "at least", floor)


def _of_label(label: LabelMetrics | None, name: str) -> Interval | None:
    """A label without a single image has not been measured, whatever the convention for 0/0."""
    return getattr(label, name) if label is not None and label.support else None


def _limits(metrics: Metrics, config: Gate, latency: Latency | None) -> Iterator[Check]:
    if config.ece is not None:
        yield _check("ECE", metrics.ece, "at most", config.ece)
    if config.latency_ms is not None:
        yield _latency(latency, config.latency_ms)


def _latency(latency: Latency | None, limit: float) -> Check:
    check = _check("latency", latency.median if latency else None, "at most", limit, unit="ms")
    return check.model_copy(update={"spread": (latency.low, latency.high)}) if latency else check


def _robust(config: Gate, robustness: Sequence[Degraded]) -> Iterator[Check]:
    if config.robustness is None:
        return
    if not robustness:
        yield _check("accuracy when degraded", None, "at least", config.robustness)
        return
    # A degradation without a number is the worst one.
    worst = min(robustness, key=lambda each: each.accuracy if math.isfinite(each.accuracy) else -math.inf)
    yield _check(f"accuracy under {worst.title}", worst.accuracy, "at least", config.robustness)


def _check(name: str, measured: Interval | float | None, sense: Sense, bound: float, unit: str = "") -> Check:
    value = measured.value if isinstance(measured, Interval) else measured
    in_unit = f" {unit}" if unit else ""
    required = f"{sense} {bound:g}{in_unit}"
    if value is None or not math.isfinite(value):
        why = f"The {name} was not measured, and what is not measured does not pass."
        return Check(name=name, required=required, passed=False, why=why)
    interval = measured.ends if isinstance(measured, Interval) else None
    if isinstance(measured, Interval) and interval is None:
        why = f"The {name} of {value:.4g} {TOO_FEW}, and what has no interval does not pass."
        return Check(name=name, measured=value, required=required, passed=False, why=why)
    passed = value >= bound if sense == "at least" else value <= bound
    return Check(
        name=name,
        measured=value,
        unit=unit,
        interval=interval,
        required=required,
        passed=passed,
        why=_sentence(name, value, sense, bound, in_unit, passed) + _doubt(interval, sense, bound, passed),
    )


def _sentence(name: str, value: float, sense: Sense, bound: float, unit: str, passed: bool) -> str:
    what = "floor" if sense == "at least" else "limit"
    if passed:
        return f"The {name} of {value:.4g}{unit} keeps the {what} of {bound:g}{unit}."
    missed = f"{abs(value - bound):.2g}{unit}"
    side = "below the floor" if sense == "at least" else "above the limit"
    return f"The {name} of {value:.4g}{unit} is {missed} {side} of {bound:g}{unit}."


def _doubt(interval: tuple[float, float] | None, sense: Sense, bound: float, passed: bool) -> str:
    if interval is None or not passed:
        return ""
    low, high = interval
    if sense == "at least" and low < bound:
        return f" Its interval reaches down to {low:.3f}, so another test set might say otherwise."
    if sense == "at most" and high > bound:
        return f" Its interval reaches up to {high:.3f}, so another test set might say otherwise."
    return ""


def _non_inferior(comparison: Comparison, groups: int, margin: float) -> Check:
    name = "not worse than the champion"
    required = f"at most {margin:g} of accuracy lost, with 95 % confidence"
    difference, champion = comparison.accuracy_difference, comparison.champion
    if difference is None or not math.isfinite(difference.value):
        first = champion is None and difference is None
        why = FIRST if first else f"It was not compared with champion {champion}."
        return Check(name=name, required=required, passed=first, why=why)
    change = (
        f"Accuracy changes by {difference.value:+.3f} against champion {champion or 'of unknown version'}"
    )
    if difference.ends is None:
        why = f"{change}; the change {TOO_FEW}, and what has no interval does not pass."
        return Check(name=name, measured=difference.value, required=required, passed=False, why=why)
    passed = difference.low >= -margin
    verdict = f"{'no lower than' if passed else 'below'} {-margin:g}"
    return Check(
        name=name,
        measured=difference.value,
        interval=difference.ends,
        required=required,
        passed=passed,
        why=f"{change}; its interval over {groups} groups starts at {difference.low:+.3f}, {verdict}.",
    )
