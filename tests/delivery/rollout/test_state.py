"""What a merge brings in counts from the merge on."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bonafide.delivery.checkout import checkout
from bonafide.delivery.repository import folder_of, package_digest, rolled_back
from bonafide.delivery.rollout import hand
from bonafide.delivery.rollout.hand import roll_back
from bonafide.delivery.rollout.state import read_rollout
from bonafide.delivery.status import statuses
from tests.delivery.rollout.test_tick import ROLLOUT, TASK
from tests.delivery.test_repository import FIRST, git
from tests.delivery.test_repository import SECOND as OTHER
from tests.delivery.test_repository import promote as commit_promotion

WHO = ("-c", "user.name=A", "-c", "user.email=a@localhost")
SECOND = replace(OTHER, package_digest="b" * 64)
THIRD = replace(OTHER, version="3", package_uri="file:///models/3/package", package_digest="c" * 64)
RULES = folder_of("dev", TASK) / "rollout.yaml"


def day(number: int) -> datetime:
    return datetime(2026, 3, number, tzinfo=UTC)


@pytest.fixture
def on(monkeypatch):
    def at(number: int) -> None:
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"{day(number):%Y-%m-%dT%H:%M:%S} +0000")

    return at


@pytest.fixture(autouse=True)
def no_registry(tmp_path, monkeypatch):
    monkeypatch.setenv("BONAFIDE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(hand, "follow", lambda *_: None)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "delivery"
    commit_promotion(made, "dev", FIRST)
    rules(made, ROLLOUT)
    return made


def rules(folder, text: str) -> None:
    (folder / RULES).write_text(text)
    git(folder, "add", "--all")
    git(folder, *WHO, "commit", "--message=rollout.yaml")


def merged(folder, branch: str) -> None:
    git(folder, "checkout", "--quiet", "main")
    git(folder, *WHO, "merge", "--no-ff", "--message=Merge", branch)


def rollout(folder):
    with checkout(str(folder)) as delivery:
        found, _ = read_rollout(delivery, "dev", TASK)
    return found


def test_a_step_begins_when_its_commit_is_merged(folder, on):
    on(1)
    git(folder, "checkout", "--quiet", "-b", "review")
    commit_promotion(folder, "dev", SECOND)
    on(3)
    merged(folder, "review")
    assert rollout(folder).steps == (day(3),)
    [status] = statuses(str(folder))
    assert (status.canary, status.since) == ("2", day(3))


def test_a_merge_forgets_no_rollback(folder, on):
    """Git follows only one parent of a merge that changed nothing, unless it is asked for all."""
    git(folder, "checkout", "--quiet", "-b", "review")
    commit_promotion(folder, "dev", THIRD)
    git(folder, "checkout", "--quiet", "main")
    commit_promotion(folder, "dev", SECOND)
    roll_back(str(folder), "dev", TASK)
    merged(folder, "review")
    with checkout(str(folder)) as delivery:
        assert rolled_back(delivery, "dev", TASK) == {SECOND.package_digest}
        assert package_digest(delivery, "dev", TASK, "2") == SECOND.package_digest


def test_a_rollback_finds_what_served_before_a_person_merged_main_into_their_branch(tmp_path):
    """As ``git pull`` does; then main is the second parent."""
    folder = tmp_path / "delivery"
    commit_promotion(folder, "dev", FIRST)
    git(folder, "checkout", "--quiet", "-b", "person")
    (folder / "note").write_text("x")
    git(folder, "add", "--all")
    git(folder, *WHO, "commit", "--message=note")
    git(folder, "checkout", "--quiet", "main")
    commit_promotion(folder, "dev", SECOND)
    commit_promotion(folder, "dev", THIRD)
    git(folder, "checkout", "--quiet", "person")
    git(folder, *WHO, "merge", "--message=Merge branch 'main'", "main")
    git(folder, "branch", "--force", "main", "person")
    git(folder, "checkout", "--quiet", "main")
    assert roll_back(str(folder), "dev", TASK) == "2"


def test_a_pause_ends_when_its_end_is_merged(folder, on):
    commit_promotion(folder, "dev", SECOND)
    rules(folder, f"{ROLLOUT}paused: true\n")
    on(1)
    git(folder, "checkout", "--quiet", "-b", "review")
    rules(folder, ROLLOUT)
    on(3)
    merged(folder, "review")
    assert rollout(folder).resumed == day(3)
