import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
import yaml

from bonafide.delivery import checkout as checkouts
from bonafide.delivery import repository
from bonafide.delivery.checkout import Checkout, checkout
from bonafide.delivery.current import in_service
from bonafide.delivery.manifests import inference_service
from bonafide.delivery.repository import Promotion
from bonafide.errors import DeliveryError

FIRST = Promotion(
    task="authenticity",
    version="1",
    package_uri="file:///models/1/package",
    run="abc",
    model_digest="1" * 64,
    data_digest="2" * 64,
    package_digest="4" * 64,
    code_version="0.1.0+g123456789abc",
    gate="3 of 3 checks passed",
)
SECOND = replace(FIRST, version="2", package_uri="file:///models/2/package", model_digest="3" * 64)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "delivery"


def promote(folder, environment, promotion):
    with checkout(str(folder)) as delivery:
        return repository.promote(delivery, environment, promotion)


def git(folder, *arguments: str, given: str | None = None) -> str:
    command = ["git", "-C", folder, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, input=given).stdout.strip()


def test_a_promotion_is_one_commit_with_trailers(folder):
    commit = promote(folder, "dev", FIRST)
    assert git(folder, "rev-parse", "main") == commit == git(folder, "rev-parse", "HEAD")
    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "log", "--format=%s", "--reverse").splitlines() == [
        "Start the delivery folder",
        "Promote authenticity version 1 in dev",
    ]
    message = git(folder, "log", "-1", "--format=%B")
    assert git(folder, "interpret-trailers", "--parse", given=message).splitlines() == [
        "Model-Version: authenticity/1",
        f"Model-Digest: {'1' * 64}",
        "Run: abc",
        f"Data-Digest: {'2' * 64}",
        f"Package-Digest: {'4' * 64}",
        "Code-Version: 0.1.0+g123456789abc",
        "Gate: 3 of 3 checks passed",
        "Environment: dev",
    ]
    place = "environments/dev/authenticity"
    assert git(folder, "show", "--format=", "--name-only").splitlines() == [
        f"{place}/inferenceservice.yaml",
        f"{place}/kustomization.yaml",
        "overlays/dev/kustomization.yaml",
    ]
    written = yaml.safe_load((folder / place / "inferenceservice.yaml").read_text())
    assert written == inference_service("authenticity", "1", "file:///models/1/package", "bonafide-dev")


def test_promoting_again_changes_nothing(folder):
    commit = promote(folder, "dev", FIRST)
    assert promote(folder, "dev", FIRST) == commit
    assert git(folder, "rev-list", "--count", "HEAD") == "2"


def test_each_environment_and_version_has_its_commit(folder):
    commits = [promote(folder, "dev", FIRST), promote(folder, "prod", FIRST), promote(folder, "dev", SECOND)]
    assert git(folder, "rev-list", "--reverse", "HEAD").splitlines()[1:] == commits
    assert in_service(str(folder), "dev", "authenticity").version == "2"
    assert in_service(str(folder), "prod", "authenticity").version == "1"


@pytest.mark.parametrize(("where", "cut_off"), [(checkouts, "write_text"), (Checkout, "commit")])
def test_a_promotion_that_was_cut_off_is_finished_by_the_next(folder, monkeypatch, where, cut_off):
    promote(folder, "dev", FIRST)
    real = getattr(where, cut_off)

    def once(*arguments):
        if cut_off == "write_text":
            real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(where, cut_off, once)
        promote(folder, "dev", SECOND)
    assert git(folder, "rev-list", "--count", "HEAD") == "2"
    commit = promote(folder, "dev", SECOND)
    assert git(folder, "rev-parse", "HEAD") == commit
    assert git(folder, "rev-list", "--count", "HEAD") == "3"
    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "log", "-1", "--format=%(trailers:key=Model-Version,valueonly)") == "authenticity/2"


@pytest.mark.parametrize("staged", [False, True])
def test_changes_of_others_are_refused_and_kept(folder, staged):
    promote(folder, "dev", FIRST)
    promote(folder, "prod", FIRST)
    foreign = folder / "environments" / "prod" / "authenticity" / "kustomization.yaml"
    foreign.write_text("mine: true\n")
    if staged:
        git(folder, "add", "--all")
    with pytest.raises(DeliveryError, match=r"uncommitted changes in environments/prod/.*commit or discard"):
        promote(folder, "dev", SECOND)
    assert foreign.read_text() == "mine: true\n"
    assert in_service(str(folder), "dev", "authenticity").version == "1"
    git(folder, "commit", "--all", "--message=mine", "--author=A <a@localhost>")
    promote(folder, "dev", SECOND)
    assert foreign.read_text() == "mine: true\n"


@pytest.mark.parametrize("lock", [False, True])
def test_what_a_person_edits_after_a_change_was_cut_off_is_kept(folder, lock, monkeypatch):
    promote(folder, "dev", FIRST)
    file = folder / "environments" / "dev" / "authenticity" / "inferenceservice.yaml"
    if lock:
        (folder / ".git/index.lock").write_text("")
        with pytest.raises(DeliveryError, match="remove the lock file"):
            promote(folder, "dev", SECOND)
        (folder / ".git/index.lock").unlink()
    else:
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(checkouts, "write_text", Mock(side_effect=KeyboardInterrupt))
            promote(folder, "dev", SECOND)
    file.write_text(file.read_text() + "# an hour of work\n")
    with pytest.raises(DeliveryError, match="uncommitted changes in environments/dev"):
        promote(folder, "dev", SECOND)
    assert "# an hour of work" in file.read_text()


def test_the_environments_overlay_is_there_from_the_first_promotion_on_and_then_the_teams(folder):
    promote(folder, "dev", FIRST)
    mine = folder / "overlays/dev/kustomization.yaml"
    assert mine.read_text() == (Path(__file__).parents[2] / "kserve" / "overlays/dev" / mine.name).read_text()
    task = folder / "environments/dev/authenticity"
    (named,) = yaml.safe_load((task / "kustomization.yaml").read_text())["components"]
    assert (task / named).resolve() == mine.parent.resolve()
    mine.write_text("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n")
    git(folder, "commit", "--all", "--message=mine", "--author=A <a@localhost>")
    promote(folder, "dev", SECOND)
    promote(folder, "dev", replace(FIRST, task="pets"))
    assert "patches" not in mine.read_text()


def test_an_environment_without_an_overlay_names_none_and_one_that_the_team_made_is_named(folder):
    promote(folder, "dev", FIRST)
    written = folder / "environments/lab/authenticity/kustomization.yaml"
    written.parent.mkdir(parents=True)
    (folder / "environments/lab/README.md").write_text("Where the lab looks.\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--message=lab", "--author=A <a@localhost>")
    promote(folder, "lab", FIRST)
    assert "components" not in yaml.safe_load(written.read_text())
    overlay = folder / "overlays/lab/kustomization.yaml"
    overlay.parent.mkdir(parents=True)
    overlay.write_text("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n")
    git(folder, "add", "--all")
    git(folder, "commit", "--message=mine", "--author=A <a@localhost>")
    promote(folder, "lab", replace(FIRST, task="pets"))
    written = folder / "environments/lab/pets/kustomization.yaml"
    assert yaml.safe_load(written.read_text())["components"] == ["../../../overlays/lab"]


def test_a_first_promotion_that_was_cut_off_leaves_no_overlay_in_the_way(folder, monkeypatch):
    promote(folder, "prod", FIRST)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Checkout, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        promote(folder, "dev", FIRST)
    commit = promote(folder, "dev", FIRST)
    assert "overlays/dev/kustomization.yaml" in git(folder, "show", "--format=", "--name-only", commit)
    assert git(folder, "status", "--porcelain") == ""


def test_a_folder_that_is_inside_another_repository_has_its_own(tmp_path):
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    promote(tmp_path / "delivery", "dev", FIRST)
    assert git(tmp_path / "delivery", "rev-list", "--count", "HEAD") == "2"
    assert git(tmp_path, "rev-list", "--all", "--count") == "0"


def test_without_git_it_is_said(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "git", None)
    with pytest.raises(DeliveryError, match="needs git; install it"):
        promote(folder, "dev", FIRST)
