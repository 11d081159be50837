"""Promotions to a repository elsewhere: by Git over HTTP with a token, and into a bare repository."""

import subprocess
import sys
import textwrap

import pytest

from bonafide.delivery import checkout as checkouts
from bonafide.delivery import promote as step
from bonafide.delivery.checkout import checkout
from bonafide.delivery.current import in_service
from bonafide.delivery.promote import promote_version
from bonafide.errors import DeliveryError
from bonafide.home import is_remote
from bonafide.registry.versions import champion
from tests.delivery.git_server import TOKEN, served
from tests.delivery.test_repository import git

TASK = "authenticity"


@pytest.fixture
def server(tmp_path, monkeypatch):
    with served(tmp_path / "git") as running:
        for name, value in running.credentials().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(checkouts, "WAITS", (0.0, 0.0))
        yield running


@pytest.fixture
def fetched_by_clusters(monkeypatch):
    """Packages of these tests lie in a folder, which stands for a bucket here."""
    monkeypatch.setattr(step, "UNREACHABLE", ())


def promote(version, place) -> str:
    return promote_version(TASK, version.number, str(place), "dev")


@pytest.mark.parametrize(
    ("place", "remote"),
    [
        ("https://git.example/delivery.git", True),
        ("ssh://git@git.example/delivery.git", True),
        ("file:///srv/delivery.git", True),
        ("git@git.example:team/delivery.git", True),
        ("git.example:team/delivery.git", True),
        ("/home/anna/delivery", False),
        ("delivery", False),
        ("./a@b/c:d", False),
    ],
)
def test_what_is_an_address_and_what_a_folder(place, remote):
    assert is_remote(place) == remote


def test_a_bare_repository_is_named_as_an_address(tmp_path):
    git(tmp_path, "init", "--quiet", "--bare", "d.git")
    with (
        pytest.raises(DeliveryError, match=rf"no work tree; name it as an address: file://{tmp_path}/d.git"),
        checkout(str(tmp_path / "d.git")),
    ):
        pass


@pytest.mark.usefixtures("registry", "fetched_by_clusters")
class TestPromotion:
    def test_a_commit_is_pushed_and_then_the_version_is_champion(self, record, server):
        version = record()
        commit = promote(version, server.url)
        assert git(server.folder, "rev-parse", "main") == commit
        subjects = git(server.folder, "log", "--format=%s", "--reverse", "main").splitlines()
        assert subjects == ["Start the delivery folder", f"Promote {TASK} version 1 in dev"]
        assert champion(TASK) == version
        assert in_service(server.url, "dev", TASK).version == "1"
        assert promote(version, server.url) == commit

    def test_what_others_committed_stays(self, record, server, monkeypatch, tmp_path):
        """Somebody pushes between the clone and the push; at first the repository is empty."""
        versions = [record(model=b"one"), record(model=b"two", champion="1")]
        real, pushed = step.promote, set()

        def meanwhile(delivery, *arguments):
            if delivery.folder not in pushed:
                pushed.add(delivery.folder)
                somebody = tmp_path / f"somebody-{len(pushed)}"
                git(tmp_path, "clone", "--quiet", server.url, str(somebody))
                (somebody / f"note-{len(pushed)}").write_text("mine\n")
                git(somebody, "add", "--all")
                git(somebody, "-c", "user.name=A", "-c", "user.email=a@localhost", "commit", "-qm", "mine")
                git(somebody, "push", "--quiet", "origin", "HEAD:main")
            return real(delivery, *arguments)

        monkeypatch.setattr(step, "promote", meanwhile)
        for version in versions:
            assert promote(version, server.url) == git(server.folder, "rev-parse", "main")
        subjects = git(server.folder, "log", "--format=%s", "--reverse", "main").splitlines()
        promotions = [f"Promote {TASK} version {number} in dev" for number in "12"]
        assert subjects == ["mine", promotions[0], "mine", promotions[1]]
        assert champion(TASK) == versions[1]

    def test_a_repository_that_never_stands_still_takes_no_promotion(self, record, server, monkeypatch):
        with checkout(server.url) as delivery:
            assert delivery.publish()
        version = record()
        monkeypatch.setattr(checkouts.Checkout, "publish", lambda self: bool(self.renew()))
        with pytest.raises(DeliveryError, match=r"moved 5 times meanwhile; version 1 .* not delivered"):
            promote(version, server.url)
        assert champion(TASK) is None

    @pytest.mark.parametrize("how", ["removed", "turned back"])
    def test_what_others_took_back_meanwhile_is_not_brought_back(self, record, server, monkeypatch, how):
        with checkout(server.url) as delivery:
            for name in ("bad", "worse"):
                (delivery.folder / name).write_text("x")
                delivery.repository.index.add([name])
                delivery.commit(name)
            assert delivery.publish()
        version, real, done = record(), step.promote, []

        def meanwhile(delivery, *arguments):
            if not done:
                done.append(git(server.folder, "rev-parse", "main~2"))
                if how == "removed":
                    git(server.folder, "update-ref", "-d", "refs/heads/main")
                else:
                    git(server.folder, "update-ref", "refs/heads/main", done[0])
            return real(delivery, *arguments)

        monkeypatch.setattr(step, "promote", meanwhile)
        if how == "removed":
            with pytest.raises(DeliveryError, match="has no branch main any more"):
                promote(version, server.url)
            assert champion(TASK) is None
            return
        promote(version, server.url)
        assert git(server.folder, "rev-parse", "main~1") == done[0]
        assert champion(TASK) == version

    def test_a_network_that_comes_back_is_waited_for(self, record, server):
        version = record()
        server.failures = 2
        promote(version, server.url)
        assert champion(TASK) == version

    def test_a_network_that_is_lost_before_the_push_delivers_and_crowns_nothing(
        self, record, server, monkeypatch
    ):
        version, real = record(), step.promote

        def lost(*arguments):
            server.failures = 100
            return real(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(step, "promote", lost)
            with pytest.raises(
                DeliveryError, match=r"git push, http.*503; version 1 .* was not delivered to dev: mend it"
            ) as told:
                promote(version, server.url)
        assert TOKEN not in str(told.value)
        assert champion(TASK) is None
        server.failures = 0
        promote(version, server.url)
        assert champion(TASK) == version

    def test_a_token_that_does_not_hold_is_asked_once(self, record, server, monkeypatch):
        version = record()
        for name, value in server.credentials("Basic d3Jvbmc6d3Jvbmc=").items():
            monkeypatch.setenv(name, value)
        with pytest.raises(
            DeliveryError, match=r"git ls-remote, http.*(Authentication failed|could not read)"
        ):
            promote(version, server.url)
        assert champion(TASK) is None
        assert len(server.asked) <= 2

    def test_a_push_that_a_rule_of_the_repository_forbids_is_told(self, record, server):
        hook = server.folder / "hooks" / "pre-receive"
        hook.write_text("#!/bin/sh\necho 'two people must agree' >&2\nexit 1\n")
        hook.chmod(0o755)
        version = record()
        with pytest.raises(DeliveryError, match=r"two people must agree.*not delivered to dev"):
            promote(version, server.url)
        assert champion(TASK) is None

    def test_a_kill_between_push_and_crown_is_finished_by_the_next_promotion(
        self, record, server, monkeypatch
    ):
        def cut_off(_):
            raise KeyboardInterrupt

        first, second = record(model=b"one"), record(model=b"two")
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(step, "crown", cut_off)
            promote(first, server.url)
        assert champion(TASK) is None
        with pytest.raises(DeliveryError, match="version 1 is in service now"):
            promote(second, server.url)
        assert champion(TASK) == first

    def test_of_two_machines_one_wins_and_the_other_is_stale(self, record, server, registry, tmp_path):
        """Each has a home of its own, so no lock keeps them apart; both have cloned before either pushes."""
        program = """
            import sys, time
            from pathlib import Path
            from bonafide.delivery import promote as step
            from bonafide.errors import DeliveryError
            import mlflow

            step.UNREACHABLE = ()
            real = step.promote
            number, place, meeting = sys.argv[1], sys.argv[2], Path(sys.argv[3])

            def promote(*arguments):
                commit = real(*arguments)
                (meeting / number).touch()
                while len(list(meeting.iterdir())) < 2:
                    time.sleep(0.01)
                return commit

            step.promote = promote
            try:
                step.promote_version("authenticity", number, place, "dev")
            except DeliveryError as error:
                sys.exit(str(error))
        """
        versions = record(model=b"one"), record(model=b"two")
        meeting = tmp_path / "meeting"
        meeting.mkdir()
        running = {}
        for version in versions:
            environment = {
                "PATH": "/usr/bin:/bin",
                **server.credentials(),
                "BONAFIDE_HOME": str(tmp_path / "machine" / version.number),
                "MLFLOW_TRACKING_URI": f"sqlite:///{registry / 'mlflow.db'}",
            }
            command = [sys.executable, "-c", textwrap.dedent(program), version.number, server.url, meeting]
            running[version.number] = subprocess.Popen(
                command, env=environment, stderr=subprocess.PIPE, text=True
            )
        told = {number: process.communicate()[1] for number, process in running.items()}
        assert champion(TASK), told
        winner = champion(TASK).number
        (loser,) = set(running) - {winner}
        assert [running[number].returncode for number in (winner, loser)] == [0, 1], told
        assert f"version {winner} is in service now" in told[loser]
        assert in_service(server.url, "dev", TASK).version == winner
        assert git(server.folder, "rev-list", "--count", "main") == "2"


@pytest.mark.usefixtures("registry")
def test_a_package_that_no_cluster_can_fetch_is_not_delivered(record, server):
    version = record()
    with pytest.raises(DeliveryError, match="where no cluster can fetch it; start the MLflow server with"):
        promote(version, server.url)
    assert champion(TASK) is None
    assert "git-receive-pack" not in " ".join(server.asked)
