"""What a validation found, as ``validation.json``, and what comes of a failed one."""

from pathlib import Path

from bonafide.config import Config, read
from bonafide.data.telling import ShortcutAudit
from bonafide.errors import DataError

VERDICT = "validation.json"
VALIDATION_REPORT = "validation.html"


class AuditCheck(Config):
    """One requirement: what was measured, what is required, and a sentence that says what it means."""

    name: str
    passed: bool
    measured: float
    required: float
    why: str


class Excluded(Config):
    """What splits leave out; ``row`` is its position in the dataset, ``of`` the path that it repeats."""

    row: int
    sha256: str
    path: str
    reason: str
    of: str


class ValidationVerdict(Config):
    """What ``validation.json`` holds.

    ``dataset_digest`` is of the dataset that was checked; ``merged_groups`` maps a group to the one it is to
    stay with.
    """

    dataset_digest: str
    passed: bool
    checks: tuple[AuditCheck, ...]
    excluded: tuple[Excluded, ...]
    merged_groups: dict[str, str]
    quarantined_share: float
    shortcuts: ShortcutAudit | None


def read_verdict(folder: Path) -> ValidationVerdict:
    """Read ``validation.json``.

    Raises:
        DataError: it is not there, or was written by something else.
    """
    return read(ValidationVerdict, folder / VERDICT, "validate")


def refuse_failed(verdict: ValidationVerdict, folder: Path) -> None:
    """Stop here if a check failed.

    Raises:
        DataError: with the failed checks' sentences and the report's place in ``folder``.
    """
    if not verdict.passed:
        failed = "; ".join(f"{check.name}: {check.why}" for check in verdict.checks if not check.passed)
        report = folder / VALIDATION_REPORT
        raise DataError(f"the dataset is not fit to train on. {failed}. Report: {report}")
