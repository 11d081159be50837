"""The commands that say what runs where, as a person gives them."""

import pytest

from tests.cli.conftest import bonafide
from tests.delivery.rollout.test_tick import TASK, folder, look, measured

__all__ = ["folder", "measured"]


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.setenv("BONAFIDE_DELIVERY", str(folder))


def test_the_state_is_a_line_for_each_environment(folder, measured):
    look(folder)
    [line] = [line for line in bonafide("status").splitlines() if line.startswith(TASK)]
    assert line.split()[:6] == [TASK, "dev", "1", "2:", "50", "%"]
    assert "█████░░░░░" in line


def test_a_rollout_is_paused_resumed_and_ended(folder, measured):
    assert "are paused" in bonafide("rollout", "pause")
    assert "paused" in bonafide("status")
    assert "are going on" in bonafide("rollout", "resume")
    told = bonafide("rollback", "--why", "moderators complain")
    assert told == f"{TASK} version 1 has all traffic in dev\n"
    assert "moderators complain" in " ".join(bonafide("status").split())


def test_a_look_without_a_rollout_says_so(folder, measured):
    bonafide("rollback")
    assert bonafide("rollout", "tick") == f"{TASK} in dev: no rollout is open\n"
