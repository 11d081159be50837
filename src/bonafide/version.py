"""Which code this is: for packages, lineage, commits and the pipelines' cache."""

import functools
import os
import shutil
import subprocess
from pathlib import Path

from bonafide import __version__
from bonafide.files import folder_digest

PACKAGE = Path(__file__).parent
BUILT = "BONAFIDE_CODE_VERSION"
WRITTEN_BY_RUNS = "dvc.lock"


def code_version() -> str:
    """The version with its commit, such as ``0.1.0+g1a2b3c4d5e6f``.

    ``.dirty`` is appended where tracked files differ from the commit, or source files are untracked. Git is
    asked only if it tracks this very file. An installed package has what ``BONAFIDE_CODE_VERSION`` says,
    which images set when they are built, or else ``+unknown``.
    """
    if _git("ls-files", "--error-unmatch", Path(__file__).name) and (commit := _git("rev-parse", "HEAD")):
        return f"{__version__}+g{commit[:12]}{'' if _is_clean() else '.dirty'}"
    return os.environ.get(BUILT) or f"{__version__}+unknown"


@functools.cache
def code_digest() -> str:
    """The SHA-256 over every file of the package, templates included, as it is at the first call."""
    files = (path for path in PACKAGE.rglob("*") if path.is_file())
    return folder_digest(PACKAGE, (path for path in files if path.parent.name != "__pycache__"))


def _is_clean() -> bool:
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":/", f":/!{WRITTEN_BY_RUNS}")
    untracked = _git("ls-files", "--others", "--exclude-standard", "--", ".", ":/*.py")
    return changed == untracked == ""


def _git(*arguments: str) -> str | None:
    """What the command prints in the package's folder, or None where it fails or there is no Git."""
    git = shutil.which("git")
    if git is None:
        return None
    # A hook's variables name the repository of the hook.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = [git, "--no-optional-locks", "-C", str(PACKAGE), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)  # noqa: S603  (no shell)
    return done.stdout.strip() if done.returncode == 0 else None
