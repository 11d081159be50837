"""A hundred promotions to a Git server over HTTP, each overtaken by another writer's push."""

import pytest

from bonafide.delivery import promote as step
from bonafide.delivery.checkout import Checkout
from bonafide.registry.versions import champion
from tests.delivery.git_server import served
from tests.delivery.test_repository import git
from tests.registered import build, record

__all__ = ["build", "record"]
pytestmark = pytest.mark.e2e
TASK, ROUNDS = "authenticity", 100


@pytest.mark.usefixtures("registry")
def test_no_commit_is_lost(record, tmp_path, monkeypatch):
    monkeypatch.setattr(step, "UNREACHABLE", ())
    with served(tmp_path / "git") as server:
        server.named(monkeypatch)
        promote(record(model=b"0"), server)
        other = tmp_path / "other"
        git(tmp_path, "clone", "--quiet", server.url, "other")
        overtaken, real = [], Checkout.publish

        def publish(delivery):
            if len(overtaken) < len(versions):
                note = f"notes/{len(overtaken)}.txt"
                overtaken.append(note)
                (other / "notes").mkdir(exist_ok=True)
                (other / note).write_text("mine\n")
                git(other, "add", "--all")
                git(other, "-c", "user.name=A", "-c", "user.email=a@localhost", "commit", "--message=note")
                git(other, "pull", "--quiet", "--rebase")
                git(other, "push", "--quiet")
            return real(delivery)

        monkeypatch.setattr(Checkout, "publish", publish)
        versions, commits = [], []
        for number in range(1, ROUNDS + 1):
            versions.append(record(model=str(number).encode(), champion=str(number)))
            commits.append(promote(versions[-1], server))
        log = git(server.folder, "log", "--format=%H %s", "--reverse", "main").splitlines()
    subjects = [line.partition(" ")[2] for line in log]
    assert subjects[:2] == ["Start the delivery folder", f"Promote {TASK} version 1 in dev"]
    expected = [("note", f"Promote {TASK} version {version.number} in dev") for version in versions]
    assert subjects[2:] == [subject for pair in expected for subject in pair]
    assert [line.partition(" ")[0] for line in log if "Promote" in line][1:] == commits
    assert sorted(overtaken) == sorted(f"notes/{number}.txt" for number in range(ROUNDS))
    assert champion(TASK) == versions[-1]


def promote(version, server) -> str:
    return step.promote_version(TASK, version.number, server.url, "dev")
