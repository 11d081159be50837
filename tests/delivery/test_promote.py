import subprocess
import sys
import textwrap
import time

import pytest

from bonafide.delivery import promote as step
from bonafide.delivery.current import in_service
from bonafide.delivery.promote import promote_version
from bonafide.errors import DeliveryError
from bonafide.model.package import verify
from bonafide.registry.versions import champion
from tests.delivery.test_repository import git

pytestmark = pytest.mark.usefixtures("registry")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "delivery"


def promote(version, folder, environment="dev") -> str:
    return promote_version("authenticity", version.number, str(folder), environment)


def test_a_version_goes_into_service_and_is_the_champion(made, record, folder):
    version = record(made.package)
    commit = promote(version, folder)
    assert champion("authenticity") == version
    served = in_service(str(folder), "dev", "authenticity")
    assert served.version == version.number
    assert verify(served.package, made.keys / "signing.pub")
    trailer = git(folder, "log", "-1", "--format=%(trailers:key=Code-Version,valueonly)", commit)
    assert trailer == version.tags["code_version"]


def test_promoting_again_gives_the_commit_of_the_promotion(record, folder):
    version = record()
    commit = promote(version, folder)
    elsewhere = promote(version, folder, "prod")
    assert promote(version, folder) == commit != elsewhere
    assert promote(version, folder, "prod") == elsewhere == git(folder, "rev-parse", "HEAD")


def test_a_judgement_against_none_is_stale_once_there_is_a_champion(record, folder):
    first, second = record(model=b"one"), record(model=b"two")
    commit = promote(first, folder)
    stale = "version 2 of authenticity was judged when none was in service, but version 1 is in service now"
    with pytest.raises(DeliveryError, match=stale):
        promote(second, folder)
    assert champion("authenticity") == first
    assert git(folder, "rev-parse", "HEAD") == commit
    judged_again = record(model=b"two", champion="1")
    promote(judged_again, folder)
    assert champion("authenticity") == judged_again
    with pytest.raises(DeliveryError, match="but version 3 is in service now"):
        promote(first, folder)


def test_a_promotion_that_was_cut_off_counts_for_the_next_one(record, folder, monkeypatch):
    """Git says what is in service, so a version that was judged before that is stale."""

    def cut_off(_):
        raise KeyboardInterrupt

    first, second = record(model=b"one"), record(model=b"two")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(step, "crown", cut_off)
        promote(first, folder)
    assert champion("authenticity") is None
    with pytest.raises(DeliveryError, match="version 1 is in service now"):
        promote(second, folder)
    assert in_service(str(folder), "dev", "authenticity").version == champion("authenticity").number == "1"


def test_a_promotion_cut_off_before_the_crown_is_finished_by_the_next(record, folder, monkeypatch):
    def cut_off(_):
        raise KeyboardInterrupt

    version = record()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(step, "crown", cut_off)
        promote(version, folder)
    assert champion("authenticity") is None
    assert promote(version, folder) == git(folder, "rev-parse", "HEAD")
    assert champion("authenticity") == version


@pytest.mark.e2e
def test_of_two_promotions_at_once_one_wins_and_the_other_is_stale(record, folder, tmp_path):
    """Both processes are slow between the check and the commit."""
    program = """
        import sys, time
        from pathlib import Path
        from bonafide.delivery import promote as step
        from bonafide.errors import DeliveryError
        import mlflow

        real = step.promote
        step.promote = lambda *arguments: (time.sleep(2), real(*arguments))[1]
        number, folder, go = sys.argv[1], sys.argv[2], Path(sys.argv[3])
        go.with_name(number).touch()
        while not go.exists():
            time.sleep(0.01)
        try:
            step.promote_version("authenticity", number, folder, "dev")
        except DeliveryError as error:
            sys.exit(str(error))
    """
    versions = record(model=b"one"), record(model=b"two")
    go = tmp_path / "barrier" / "go"
    go.parent.mkdir()
    command = [sys.executable, "-c", textwrap.dedent(program)]
    running = {
        version.number: subprocess.Popen(
            [*command, version.number, folder, go], stderr=subprocess.PIPE, text=True
        )
        for version in versions
    }
    while len(list(go.parent.iterdir())) < len(running):
        assert all(process.poll() is None for process in running.values())
        time.sleep(0.01)
    go.touch()
    told = {number: process.communicate()[1] for number, process in running.items()}
    winner = champion("authenticity").number
    (loser,) = set(running) - {winner}
    assert [running[number].returncode for number in (winner, loser)] == [0, 1]
    assert f"version {winner} is in service now" in told[loser]
    assert in_service(str(folder), "dev", "authenticity").version == winner
    assert git(folder, "rev-list", "--count", "HEAD") == "2"


def test_a_run_begins_with_what_git_says_is_in_service(record, folder, monkeypatch):
    def cut_off(_):
        raise KeyboardInterrupt

    version = record()
    step.catch_up("authenticity", str(folder))
    assert not folder.exists()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(step, "crown", cut_off)
        promote(version, folder)
    assert champion("authenticity") is None
    step.catch_up("authenticity", str(folder))
    assert champion("authenticity") == version
