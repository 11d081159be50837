"""What a window is compared with: the answers of the package's own model for validation images."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import DataError
from bonafide.model.package import REFERENCE, STATISTIC, PackageInfo, verify


@dataclass(frozen=True)
class Reference:
    """N answers whose truth is known: ``label`` int64 [N]. ``group`` int64 [N] is equal where groups are.

    ``statistics`` is empty, and ``group`` tells each row apart, where the package is older than these.
    """

    info: PackageInfo
    probabilities: NDArray[np.float32]
    label: NDArray[np.int64]
    embedding: NDArray[np.float32] | None
    group: NDArray[np.int64]
    statistics: dict[str, NDArray[np.float64]]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.label)


def read_reference(package: Path, trusted: Path) -> Reference:
    """Read the reference of a signed package.

    Args:
        trusted: as the public key of :func:`bonafide.model.package.verify`.

    Raises:
        PackageError: the package cannot be trusted.
        DataError: it has no reference, or one that nothing can be compared with.
    """
    info, path = verify(package, trusted), package / REFERENCE
    try:
        with np.load(path, allow_pickle=False) as given:
            arrays: dict[str, Any] = dict(given)
    except FileNotFoundError:
        raise DataError(f"{package} has no {REFERENCE}; export the model again") from None
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is no file of arrays: {error}; export the model again") from error
    if missing := [name for name in ("probabilities", "label") if name not in arrays]:
        raise DataError(f"{path} lacks {', '.join(missing)}; export the model again")
    statistics = {
        name.removeprefix(STATISTIC): values for name, values in arrays.items() if name.startswith(STATISTIC)
    }
    _refuse_useless(path, info, arrays)
    notes = []
    if not statistics:
        notes.append("The package has no statistics, so these are not compared; export it again.")
    if "group" not in arrays:
        notes.append("The package does not tell its groups, so each input counts as one; export it again.")
    return Reference(
        info,
        arrays["probabilities"],
        arrays["label"],
        arrays.get("embedding"),
        arrays.get("group", np.arange(len(arrays["label"]))),
        statistics,
        tuple(notes),
    )


def _refuse_useless(path: Path, info: PackageInfo, arrays: dict[str, Any]) -> None:
    counts = np.bincount(arrays["label"], minlength=len(info.labels))
    if few := [name for name, count in zip(info.labels, counts, strict=True) if count < 2]:
        raise DataError(f"{path} has fewer than 2 inputs of {', '.join(few)}; validate with more, and export")
    for name in ("probabilities", "embedding"):
        if name in arrays and not np.isfinite(arrays[name]).all():
            raise DataError(f"{path}: {name} holds what is no number; train and export the model again")
