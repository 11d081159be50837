"""The verdict about a window: nothing, another mix of classes, other looks, or too few to say."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bonafide.config import Config
from bonafide.drift.environment import Answer, Check
from bonafide.drift.mix import Known, Mixture, entropy
from bonafide.drift.reference import Reference
from bonafide.feedback.window import Window
from bonafide.task import DECIDING, Drift

Kind = Literal["none", "mix", "looks", "too-few"]
LOOKS, MIX = ("mmd", "ks", "uncertainty"), "labels"
FEWEST_GROUPS = 8  # of each label: benchmarks/drift/few.py
SMALLEST = 1e-30  # p-values that are smaller say no more, and may have become 0
assert len((*LOOKS, MIX)) == DECIDING


class Detector(Config):
    """One detector's findings.

    ``p`` is that the array ``of`` is as in the reference, corrected for its columns; ``beyond_mix`` that it
    differs by the mix of classes alone; ``adjusted`` what decides, corrected for the number of detectors
    (Holm), or None for one that only explains. ``columns`` are the p-values of the columns as they are.
    """

    name: str
    of: str
    distance: float
    p: float
    beyond_mix: float | None = None
    adjusted: float | None = None
    found: bool = False
    columns: tuple[float, ...] = ()


class LabelShare(Config):
    """Of one label: its share of the reference, of the window's answers, and of the window as estimated."""

    label: str
    reference: float
    answered: float
    window: float
    low: float
    high: float


class Judgement(Config):
    """What the detectors say, by the rule of :func:`judge`."""

    kind: Kind
    detectors: tuple[Detector, ...] = ()
    mix: tuple[LabelShare, ...] = ()
    notes: tuple[str, ...] = ()

    def moved(self, alpha: float) -> tuple[Detector, ...]:
        """Of the detectors that only explain those that are below ``alpha`` all together (Bonferroni)."""
        explaining = [each for each in self.detectors if each.adjusted is None]
        return tuple(each for each in explaining if each.p * len(explaining) < alpha)


@dataclass(frozen=True)
class Sides:
    """Arrays of the reference and of the window, by the same names, and the notes about those left out."""

    known: Known
    labels: tuple[str, ...]
    reference: Mapping[str, NDArray[Any]]
    window: Mapping[str, NDArray[Any]]
    notes: tuple[str, ...]
    seed: int

    @property
    def looks(self) -> str:
        """The array that looks are judged by."""
        return "embedding" if "embedding" in self.reference else "probabilities"


def sides(reference: Reference, window: Window, settings: Drift) -> Sides:
    """What can be compared; the seed follows from the content.

    Constant columns of the embedding are left out, and the others scaled to a spread of 1 in the reference:
    a discrepancy would be blind to what moves in columns of a small spread.
    """
    notes = list(reference.notes)
    ours: dict[str, NDArray[Any]] = {"probabilities": reference.probabilities}
    theirs: dict[str, NDArray[Any]] = {"probabilities": window.probabilities}
    if reference.embedding is not None and window.embedded.all():
        moving = np.ptp(np.concatenate([reference.embedding, window.embeddings]), axis=0) > 0
        if not moving.all():
            notes.append(f"{(~moving).sum()} columns of the embedding are constant and were left out.")
        if moving.any():
            spread = reference.embedding[:, moving].std(0)
            scale = np.where(spread > 0, spread, 1)
            ours["embedding"] = reference.embedding[:, moving] / scale
            theirs["embedding"] = window.embeddings[:, moving] / scale
    else:
        notes.append("There are no embeddings, so looks are judged by the probabilities.")
    for name in sorted(reference.statistics.keys() & window.statistics.keys()):
        pair = reference.statistics[name], window.statistics[name]
        if any(np.isfinite(each).sum() < min(settings.minimum, len(each)) / 2 for each in pair):
            notes.append(f"{name} is known of too few inputs to be compared.")
        else:
            ours[name], theirs[name] = (values[:, None] for values in pair)
    digest = hashlib.sha256()
    for array in (*ours.values(), *theirs.values()):
        digest.update(np.ascontiguousarray(array).tobytes())
    known = Known(reference.probabilities, reference.label, reference.group)
    seed = int.from_bytes(digest.digest()[:4])
    return Sides(known, reference.info.labels, ours, theirs, tuple(notes), seed)


def checks(
    both: Sides, settings: Drift, prefix: str = ""
) -> tuple[dict[str, NDArray[Any]], dict[str, Check]]:
    """What :func:`bonafide.drift.environment.detect` is asked, with names that begin with ``prefix``."""
    arrays: dict[str, NDArray[Any]] = {}
    asked: dict[str, Check] = {}

    def ask(name: str, test: str, pair: tuple[NDArray[Any], NDArray[Any]], **options: int) -> None:
        names = tuple(f"{prefix}{name}.{side}" for side in ("reference", "window"))
        arrays.update(zip(names, pair, strict=True))
        asked[prefix + name] = Check(test, names[0], names[1], both.seed, options)

    ours, theirs = both.reference, both.window
    few = _drawn(both, settings.rows)
    looks = ours[both.looks], theirs[both.looks]
    near = tuple(np.asarray(values[rows], np.float32) for values, rows in zip(looks, few, strict=True))
    ask("mmd", "mmd", (near[0], near[1]), permutations=settings.permutations)
    ask("ks", "ks", looks)
    ask("uncertainty", "uncertainty", (ours["probabilities"], theirs["probabilities"]))
    answers = (side["probabilities"].argmax(1)[:, None] for side in (ours, theirs))
    ask("labels", "chi-square", (next(answers), next(answers)))
    for name in _statistics(both):
        ask(name, "ks", (_finite(ours[name]), _finite(theirs[name])))
    return arrays, asked


def judge(both: Sides, answers: Mapping[str, Answer], settings: Drift) -> Judgement:
    """Weigh the answers of the detectors.

    A detector of looks counts if the window is not as the reference **and** another mix of the reference's
    classes does not explain it, so its p-value is the larger of the two. That of the answered labels is
    chi-square's. Holm's correction over all of them keeps the share of windows without drift that alarm at
    ``alpha``, and so that of windows with another mix alone that alarm for looks. Statistics only explain.
    So do detectors of looks where the reference has few groups of a label: the mix cannot be told from looks.
    """
    whole = Mixture(both.known, both.window["probabilities"], both.seed)
    few = _scarce(both, settings.rows)
    beyond = {} if few else _beyond(both, whole, settings.rows)
    raw = {name: min(1.0, max(SMALLEST, len(answer.p) * min(answer.p))) for name, answer in answers.items()}
    adjusted = holm({name: max(raw[name], beyond.get(name, 0.0)) for name in (*beyond, MIX)})
    detectors = tuple(
        Detector(
            name=name,
            of={"mmd": both.looks, "ks": both.looks, "uncertainty": "probabilities", MIX: "answers"}.get(
                name, name
            ),
            distance=max(answer.distance),
            p=raw[name],
            beyond_mix=beyond.get(name),
            adjusted=adjusted.get(name),
            found=adjusted.get(name, 1.0) <= settings.alpha,
            columns=tuple(answer.p) if len(answer.p) > 1 else (),
        )
        for name, answer in answers.items()
    )
    found = {each.name for each in detectors if each.found}
    kind: Kind = "looks" if found & {*LOOKS} else "mix" if MIX in found else "none"
    return Judgement(kind=kind, detectors=detectors, mix=_mix(both, whole), notes=(*few, *both.notes))


def holm(values: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjusted p-values (1979): each may be held against the level that all share."""
    adjusted, largest = {}, 0.0
    for rank, (name, value) in enumerate(sorted(values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(values) - rank) * value))
        adjusted[name] = largest
    return adjusted


def _mix(both: Sides, mixture: Mixture) -> tuple[LabelShare, ...]:
    answered = np.bincount(both.window["probabilities"].argmax(1), minlength=len(both.labels))
    rows = zip(both.labels, mixture.table(), answered / answered.sum(), strict=True)
    return tuple(
        LabelShare(
            label=label,
            reference=share.reference,
            answered=float(part),
            window=share.window,
            low=share.low,
            high=share.high,
        )
        for label, share, part in rows
    )


def _beyond(both: Sides, whole: Mixture, rows: int) -> dict[str, float]:
    """By detector of looks, the p-value of that the window differs by its mix alone."""
    ours, theirs = both.reference, both.window
    one, other = _drawn(both, rows)
    part = Mixture(both.known.of(one), theirs["probabilities"][other], both.seed)
    return {
        "mmd": part.mmd(ours[both.looks][one], theirs[both.looks][other]),
        "ks": whole.ks(ours[both.looks], theirs[both.looks]),
        "uncertainty": whole.ks(entropy(ours["probabilities"]), entropy(theirs["probabilities"])),
    }


def _scarce(both: Sides, rows: int) -> tuple[str, ...]:
    """A note if chance may make a label look different, for want of groups among the rows that are drawn."""
    groups = both.known.of(_drawn(both, rows)[0]).groups(len(both.labels))
    few = [label for label, count in zip(both.labels, groups, strict=True) if count < FEWEST_GROUPS]
    if not few:
        return ()
    return (
        f"Looks were not judged: of {', '.join(few)} the reference has fewer than {FEWEST_GROUPS} groups to "
        "compare, so chance may make them look different; validate with more.",
    )


def _drawn(both: Sides, rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """At most so many rows of each side, the same whenever asked."""
    random = np.random.default_rng(both.seed)
    counts = (len(side["probabilities"]) for side in (both.reference, both.window))
    one, other = (np.sort(random.permutation(count)[:rows]) for count in counts)
    return one, other


def _statistics(both: Sides) -> list[str]:
    return [name for name in both.reference if name not in ("probabilities", "embedding")]


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    finite: NDArray[Any] = values[np.isfinite(values[:, 0])]
    return finite
