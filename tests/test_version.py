"""The code that made a model can be found again, and an edit is never taken for what was there before."""

import shutil
import subprocess
from pathlib import Path

import pytest

from bonafide import __version__, version


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A repository that tracks the package, a template and what DVC writes."""
    package = tmp_path / "checkout" / "src" / "bonafide"
    package.mkdir(parents=True)
    shutil.copy(version.__file__, package)
    (package / "page.html").write_text("<p>")
    (tmp_path / "checkout" / "dvc.lock").write_text("")
    git(tmp_path / "checkout", "init", "--quiet")
    commit(tmp_path / "checkout")
    monkeypatch.setattr(version, "PACKAGE", package)
    monkeypatch.delenv(version.BUILT, raising=False)
    return tmp_path / "checkout"


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", folder, "-c", "user.name=A", "-c", "user.email=a@localhost", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=x")


def test_a_checkout_tells_its_commit(checkout):
    assert version.code_version() == f"{__version__}+g{git(checkout, 'rev-parse', 'HEAD')[:12]}"
    before = version.code_version()
    (checkout / "note.py").write_text("")
    commit(checkout)
    assert version.code_version() != before


@pytest.mark.parametrize("name", ["src/bonafide/page.html", "src/bonafide/new.html", "components/new.py"])
def test_a_change_is_told(checkout, name):
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).write_text("changed")
    assert version.code_version().endswith(".dirty")


@pytest.mark.parametrize("name", ["notes.txt", "dvc.lock"])
def test_what_is_no_code_does_not_count(checkout, name):
    (checkout / name).write_text("changed")
    assert not version.code_version().endswith(".dirty")


def test_a_hook_s_own_repository_is_not_asked(checkout, monkeypatch):
    expected = version.code_version()
    monkeypatch.setenv("GIT_DIR", str(checkout.parent / "elsewhere"))
    assert version.code_version() == expected


def test_an_environment_within_another_repository_does_not_lie(checkout, monkeypatch):
    installed = checkout / ".venv" / "site-packages" / "bonafide"
    shutil.copytree(version.PACKAGE, installed)
    (checkout / ".gitignore").write_text("/.venv/\n")
    monkeypatch.setattr(version, "PACKAGE", installed)
    assert version.code_version() == f"{__version__}+unknown"
    monkeypatch.setenv(version.BUILT, "0.1.0+g123456789abc")
    assert version.code_version() == "0.1.0+g123456789abc"


def test_without_git_the_build_is_asked(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert version.code_version() == f"{__version__}+unknown"


def test_an_edited_template_is_other_code_and_a_compiled_file_is_not(checkout):
    def digest() -> str:
        version.code_digest.cache_clear()
        return version.code_digest()

    before = digest()
    (version.PACKAGE / "__pycache__").mkdir()
    (version.PACKAGE / "__pycache__" / "version.cpython-311.pyc").write_bytes(b"x")
    assert digest() == before
    (version.PACKAGE / "page.html").write_text("<p>edited")
    assert digest() != before
    version.code_digest.cache_clear()
