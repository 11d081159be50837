"""The page docs/benchmarks/drift.md."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.canary.rows import Share
from benchmarks.drift.rows import EXPECTED, KINDS, PROMISED, REFERENCES, ROWS, SETTINGS, STRENGTHS
from benchmarks.drift.speed import COLUMNS, MANY, PREDICTIONS
from bonafide.drift.judge import LOOKS, MIX, Judgement, holm
from bonafide.pages import number

DETECTORS = (*LOOKS, MIX)
EXPLAIN = ("brightness", "jpeg_quality")
Results = dict[str, Any]


def counted(judgements: Sequence[Judgement]) -> Results:
    """How often each verdict came up and each detector alarmed; and looks, if no mix were allowed for."""
    kinds = Counter(each.kind for each in judgements)
    detectors: Counter[str] = Counter()
    unaided = 0
    for each in judgements:
        found = {detector.name: detector for detector in each.detectors}
        detectors.update(name for name in DETECTORS if found[name].found)
        detectors.update(name for name in EXPLAIN if name in found and found[name].p <= SETTINGS.alpha)
        plain = holm({name: found[name].p for name in DETECTORS})
        unaided += any(plain[name] <= SETTINGS.alpha for name in LOOKS)
    return {"kinds": dict(kinds), "detectors": dict(detectors), "unaided": unaided}


def page(results: Results) -> str:
    """The page for these results."""
    runs, judged = results["runs"], results["judged"]

    def lines(line: Any) -> str:
        return "\n".join(line(name, size, judged[f"{name}, {size}"], runs) for name, size in ROWS)

    speed = results["speed"]
    return TEMPLATE.format(
        runs=runs,
        references=REFERENCES,
        images=f"{results['images']:,}",
        accuracy=f"{100 * results['accuracy']:.1f} %",
        alpha=f"{SETTINGS.alpha:g}",
        strengths="\n".join(f"| {name} | {STRENGTHS[name]} |" for name in KINDS),
        verdicts=lines(_verdicts),
        detectors=lines(_detectors),
        names=" | ".join((*DETECTORS, *(name.replace("_", " ") for name in EXPLAIN))),
        rows=f"{PREDICTIONS:,}",
        columns=COLUMNS,
        many=f"{MANY:,}",
        seconds=number(speed["seconds"]),
        cpu=number(speed["cpu"]),
        cores=speed["cores"],
    )


def _verdicts(name: str, size: int, found: Results, runs: int) -> str:
    cells = [_percent(found["kinds"].get(kind, 0), runs) for kind in ("none", "mix", "looks")]
    expected = EXPECTED.get(name)
    if expected is None:
        told = "nothing promised"
    else:
        share = Share(found["kinds"].get(expected, 0), runs)
        told = f"{expected}: {share}{'' if share.value >= PROMISED[expected] else ', **fewer than 95 %**'}"
    return f"| {name} | {size:,} | {' | '.join(cells)} | {told} | {_percent(found['unaided'], runs)} |"


def _detectors(name: str, size: int, found: Results, runs: int) -> str:
    cells = (_percent(found["detectors"].get(each, 0), runs) for each in (*DETECTORS, *EXPLAIN))
    return f"| {name} | {size:,} | {' | '.join(cells)} |"


def _percent(times: int, runs: int) -> str:
    return f"{100 * times / runs:.1f} %".replace(".0 %", " %")


TEMPLATE = """# How well drift is found

Written by `make bench-drift`: {runs} windows a row, each with a reference of {references} images,
judged by the code of `bonafide drift check` with the default settings, at the level {alpha}. The model is
that of `make demo`. The images are {images} of the [offline sample](../reference/offline-sample.md), made
with another seed than the model's data; it is right on {accuracy} of them, the unseen generator left out.
Reference and window share no image.

| Row | What the window is |
|---|---|
{strengths}

## Verdicts

The share of windows with each verdict. "Expected" is the share with the right one, with its exact 95 %
interval in percent. The last column is how often the same detectors of looks alarm if no other mix is
allowed for.

| Row | Predictions | none | mix | looks | Expected | Looks, mix not allowed for |
|---|---:|---:|---:|---:|---|---:|
{verdicts}

## Detectors

The share of windows in which each alarms. `mmd`, `ks`, `uncertainty` and `labels` decide together, by
corrected p-values; brightness and JPEG quality only explain, each at the level {alpha}.

| Row | Predictions | {names} |
|---|---:|---:|---:|---:|---:|---:|---:|
{detectors}

The images come from few photographs, and those of one region are alike. The reference knows its groups, so
that a difference of looks must be larger than groups differ.

## Speed

A check of {rows} predictions with embeddings of {columns} components and four statistics, against a reference
of {many}: {seconds} s from the start of the command to its end, {cpu} s of processor time, on {cores} cores,
imports of both environments included.
"""
