"""What a merge brings in counts from the merge on."""

from datetime import UTC, datetime

import pytest

from bonafide.delivery.checkout import checkout
from bonafide.delivery.repository import folder_of
from bonafide.delivery.rollout.state import read_rollout
from bonafide.delivery.status import statuses
from tests.delivery.rollout.test_tick import ROLLOUT, TASK
from tests.delivery.test_repository import FIRST, SECOND, git
from tests.delivery.test_repository import promote as commit_promotion

WHO = ("-c", "user.name=A", "-c", "user.email=a@localhost")
RULES = folder_of("dev", TASK) / "rollout.yaml"


def day(number: int) -> datetime:
    return datetime(2026, 3, number, tzinfo=UTC)


@pytest.fixture
def on(monkeypatch):
    def at(number: int) -> None:
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"{day(number):%Y-%m-%dT%H:%M:%S} +0000")

    return at


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


def test_a_pause_ends_when_its_end_is_merged(folder, on):
    commit_promotion(folder, "dev", SECOND)
    rules(folder, f"{ROLLOUT}paused: true\n")
    on(1)
    git(folder, "checkout", "--quiet", "-b", "review")
    rules(folder, ROLLOUT)
    on(3)
    merged(folder, "review")
    assert rollout(folder).resumed == day(3)
