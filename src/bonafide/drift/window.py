"""Windows of predictions as files, and what in one counts."""

import zipfile
from dataclasses import fields
from pathlib import Path

import numpy as np

from bonafide.errors import DataError
from bonafide.feedback.window import Window
from bonafide.files import write_bytes
from bonafide.model.package import STATISTIC


def read_window(path: Path) -> Window:
    """Read a window from a ``.npz`` file.

    Raises:
        DataError: it is not there or no such file, an array is missing, or arrays do not fit together.
    """
    try:
        with np.load(path, allow_pickle=False) as given:
            arrays = dict(given)
    except FileNotFoundError:
        raise DataError(f"{path} is not there; give a window of predictions") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is no .npz file of arrays: {error}") from error
    statistics = {
        name.removeprefix(STATISTIC): values for name, values in arrays.items() if name.startswith(STATISTIC)
    }
    wanted = [each.name for each in fields(Window) if each.name != "statistics"]
    if missing := [name for name in wanted if name not in arrays]:
        raise DataError(f"{path} is no window of predictions: it lacks {', '.join(missing)}")
    names = tuple(str(name) for name in arrays["names"])
    found = Window(**{**{name: arrays[name] for name in wanted}, "names": names}, statistics=statistics)
    _refuse_misfit(found, path)
    return found


def write_window(path: Path, window: Window) -> None:
    """Write a window as :func:`read_window` reads it."""
    from io import BytesIO

    arrays = {each.name: getattr(window, each.name) for each in fields(Window) if each.name != "statistics"}
    arrays["names"] = np.array(window.names, dtype=np.str_)
    stream = BytesIO()
    statistics = {STATISTIC + name: values for name, values in window.statistics.items()}
    np.savez_compressed(stream, allow_pickle=False, **arrays, **statistics)
    write_bytes(path, stream.getvalue())


def distinct(window: Window) -> Window:
    """Each input once, the first time that it was asked about.

    A picture that goes round is asked about many times; its answers are one observation. Predictions whose
    probabilities and embeddings are alike to five decimals are taken for such, or, where there are no
    embeddings, those whose probabilities and statistics are.
    """
    facts = [values[:, None] for values in window.statistics.values()]
    parts = [window.probabilities, *([window.embeddings] if window.embedded.all() else facts)]
    alike = np.concatenate([np.nan_to_num(part.astype(np.float64), nan=-1) for part in parts], axis=1)
    return window.of(np.sort(np.unique(alike.round(5) + 0.0, axis=0, return_index=True)[1]))


def _refuse_misfit(window: Window, path: Path) -> None:
    count = len(window)
    aligned = {
        each.name: getattr(window, each.name)
        for each in fields(Window)
        if each.name not in ("names", "embeddings", "statistics")
    }
    for name, values in {**aligned, **window.statistics}.items():
        if len(values) != count:
            raise DataError(f"{path}: {name} has {len(values):,} rows where ids has {count:,}")
    if window.probabilities.shape != (count, len(window.names)):
        raise DataError(
            f"{path}: probabilities are {window.probabilities.shape} for {len(window.names)} names"
        )
    if window.embeddings.ndim != 2 or len(window.embeddings) != window.embedded.sum():
        count = int(window.embedded.sum())
        raise DataError(
            f"{path}: embeddings are {window.embeddings.shape}, but {count:,} predictions have one"
        )
