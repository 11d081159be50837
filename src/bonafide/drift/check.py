"""The drift check: a window of predictions against the reference of the package that answered."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonafide.config import Config, read
from bonafide.drift.environment import detect
from bonafide.drift.judge import Judgement, Sides, checks, judge, sides
from bonafide.drift.reference import Reference, read_reference
from bonafide.drift.window import distinct
from bonafide.errors import DataError
from bonafide.feedback.window import Window
from bonafide.files import new_folder, write_text
from bonafide.task import Drift

MOST = 20_000  # predictions at once: memory grows with them
MOST_UNSOUND = 0.1
DRIFT, DRIFT_REPORT, DRIFT_METRICS = "drift.json", "drift.html", "drift.prom"


class Found(Config):
    """``drift.json``: the judgement, and what was compared.

    ``created`` is when the version's package was made, ISO UTC. ``begin`` and ``end`` are the times of the
    first and last prediction, in seconds since 1970, None without any. Of ``predictions``, ``compared`` ones
    are of distinct inputs and have all arrays.
    """

    task: str
    version: str
    model_digest: str
    created: str
    alpha: float
    begin: float | None
    end: float | None
    predictions: int
    compared: int
    reference: int
    judgement: Judgement

    @property
    def looks_changed(self) -> bool:
        """Whether this calls for training."""
        return self.judgement.kind == "looks"

    def headline(self) -> dict[str, float]:
        """The figures that run lists show: how many inputs, and each detector's corrected p-value."""
        judged = {each.name: each.adjusted for each in self.judgement.detectors if each.adjusted is not None}
        return {"compared": float(self.compared), **judged}


def check(
    window: Window,
    package: Path,
    trusted: Path,
    out: Path,
    settings: Drift,
    version: str = "",
    task: str = "",
) -> Found:
    """Compare, and write ``drift.json``, ``drift.html`` and ``drift.prom`` to ``out``.

    Of a window that is too large, ``MOST`` predictions are drawn. The same window and package give the same
    answer.

    Args:
        trusted: public keys, as :func:`bonafide.model.package.verify` takes them.
        version: whose predictions count; needed where the window has those of several.
        task: that the package must be of, if given.

    Raises:
        DataError: the window is not of the package's model, or holds what is no number.
        PackageError: the package cannot be trusted.
        ConfigError: there is no environment for the detectors.
    """
    reference = read_reference(package, trusted)
    chosen, version, notes = _chosen(window, reference, version, task, settings.minimum)
    compared = distinct(chosen)
    both = None
    if len(compared) < settings.minimum:
        judgement = Judgement(kind="too-few", notes=notes)
    else:
        both = sides(reference, compared, settings)
        judgement = judge(both, detect(*checks(both, settings), settings.seconds), settings)
        judgement = judgement.model_copy(update={"notes": (*notes, *judgement.notes)})
    found = Found(
        task=reference.info.task,
        version=version,
        model_digest=reference.info.model_digest,
        created=reference.info.created,
        alpha=settings.alpha,
        begin=float(window.times.min()) if len(window) else None,
        end=float(window.times.max()) if len(window) else None,
        predictions=len(window),
        compared=len(compared),
        reference=len(reference),
        judgement=judgement,
    )
    _write(out, found, both, settings)
    return found


def read_found(drift: Path) -> Found:
    """Read ``drift.json`` back.

    Raises:
        DataError: it is not there, or was written by something else.
    """
    return read(Found, drift / DRIFT, "drift check")


def _write(out: Path, found: Found, both: Sides | None, settings: Drift) -> None:
    from bonafide.drift.metrics import exposition
    from bonafide.drift.report import drift_html

    with new_folder(out, DRIFT) as folder:
        write_text(folder / DRIFT, found.model_dump_json(indent=2) + "\n")
        write_text(folder / DRIFT_REPORT, drift_html(found, both, settings))
        write_text(folder / DRIFT_METRICS, exposition(found))


def _chosen(
    window: Window, reference: Reference, version: str, task: str, minimum: int
) -> tuple[Window, str, tuple[str, ...]]:
    """The predictions that the package's model made, whose version they are, and what was left out."""
    info, notes = reference.info, []
    if task and info.task != task:
        raise DataError(f"the reference is of task {info.task}, not of {task}; give another package")
    version = version or _only(window)
    chosen = window.of(window.versions == version)
    if len(chosen) < len(window):
        notes.append(
            f"{len(window) - len(chosen):,} predictions of other versions than {version} were left out."
        )
    if not len(chosen):
        return chosen, version, tuple(notes)
    chosen = _sound(chosen, info.labels, minimum, notes)
    if not len(chosen):
        return chosen, version, tuple(notes)
    if reference.embedding is not None and window.embedded.any() and not chosen.embedded.any():
        raise DataError(
            "the window has embeddings of other versions alone, which may be of another size than those of "
            f"{version}; give a window of version {version} alone"
        )
    if reference.embedding is not None and chosen.embedded.any() and not chosen.embedded.all():
        notes.append(f"{(~chosen.embedded).sum():,} predictions without an embedding were left out.")
        chosen = chosen.of(chosen.embedded)
    if len(chosen) > MOST:
        notes.append(f"Of {len(chosen):,} predictions, {MOST:,} were drawn to be compared.")
        chosen = chosen.of(np.sort(np.random.default_rng(0).permutation(len(chosen))[:MOST]))
    _refuse_other_size(chosen, reference)
    return chosen, version, tuple(notes)


def _only(window: Window) -> str:
    there = sorted(set(map(str, window.versions)))
    if len(there) > 1:
        raise DataError(
            f"the window has predictions of versions {', '.join(there)}, whose embeddings cannot be "
            "compared; name one of them: --version"
        )
    return "".join(there)


def _sound(window: Window, labels: tuple[str, ...], minimum: int, notes: list[str]) -> Window:
    """What holds numbers for these labels and no others, with the columns in their order.

    Raises:
        DataError: many do not, of a window that would be judged: the model is another one, or broken.
    """
    there = f"the window has the labels {', '.join(window.names)}, the reference {', '.join(labels)}"
    if not set(labels) <= set(window.names):
        raise DataError(f"{there}: they are of different tasks or models")
    foreign = [number for number, name in enumerate(window.names) if name not in labels]
    probabilities = window.probabilities[:, [window.names.index(label) for label in labels]]
    embedded = np.ones(len(window), dtype=np.bool_)
    embedded[window.embedded] = np.isfinite(window.embeddings).all(axis=1)
    numbers = np.isfinite(probabilities).all(axis=1)
    own = np.isnan(window.probabilities[:, foreign]).all(axis=1)
    sound: NDArray[np.bool_] = np.logical_and.reduce([embedded, numbers, own])
    if len(window) >= minimum and (~sound).sum() > MOST_UNSOUND * len(window):
        raise DataError(
            f"{(~sound).sum():,} of {len(window):,} predictions hold what is no number, or other labels; "
            f"{there}: the model that answered is another one, or broken"
        )
    if not sound.all():
        notes.append(f"{(~sound).sum():,} predictions without sound numbers were left out.")
    return replace(window, names=labels, probabilities=probabilities).of(sound)


def _refuse_other_size(window: Window, reference: Reference) -> None:
    if reference.embedding is not None and len(window.embeddings):
        sizes = window.embeddings.shape[1], reference.embedding.shape[1]
        if sizes[0] != sizes[1]:
            raise DataError(
                f"embeddings of the window have {sizes[0]} columns, those of the reference "
                f"{sizes[1]}: they are of different models"
            )
