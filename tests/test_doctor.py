"""Everything right, and each thing wrong in turn; what needs servers is in tests/e2e."""

import sys

import pytest

from bonafide.doctor import examine, refuse_broken
from bonafide.errors import DeliveryError
from bonafide.model.signing import ensure_key
from tests.delivery.git_server import TOKEN, served


def broken():
    return {finding.what: finding.found for finding in examine("pets") if finding.broken}


def found():
    return {finding.what: finding.found for finding in examine("pets")}


def test_a_new_laptop_has_all_that_it_needs_and_is_left_as_it_was(own_home):
    assert not broken()
    assert sorted(own_home.iterdir()) == []
    assert "none yet" in found()["registry"]


def test_after_a_promotion_all_is_there(made, registry, monkeypatch):
    monkeypatch.setenv("BONAFIDE_SIGNING_KEY", str(made.keys / "signing.pem"))
    assert not broken()
    assert found()["registry"] == "answers"
    assert found()["signing key"] == f"signs what {made.keys / 'signing.pub'} verifies"


@pytest.mark.parametrize(
    ("variable", "what"),
    [
        ("MLFLOW_TRACKING_URI", "registry"),
        ("BONAFIDE_DELIVERY", "delivery repository"),
        ("BONAFIDE_SIGNING_KEY", "signing key"),
    ],
)
def test_a_step_that_leaves_nothing_behind_needs_each_place_named(monkeypatch, variable, what):
    monkeypatch.setenv("BONAFIDE_EPHEMERAL", "1")
    assert variable in broken()[what]
    with pytest.raises(DeliveryError, match=f"{what}: {variable} is not set"):
        refuse_broken("pets")


def test_a_registry_that_does_not_answer(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://anna:hush@127.0.0.1:9")
    assert "does not answer as it should" in broken()["registry"]
    assert "hush" not in str(list(examine("pets")))


def test_a_key_that_is_absent_is_no_key_or_belongs_to_another(tmp_path, monkeypatch):
    mounted = tmp_path / "mounted"
    monkeypatch.setenv("BONAFIDE_SIGNING_KEY", str(mounted / "signing.pem"))
    assert "No such file" in broken()["signing key"]
    mounted.mkdir()
    (mounted / "signing.pem").write_text("not a key")
    assert "give an EC private key in PEM" in broken()["signing key"]
    keys = ensure_key(tmp_path / "keys")
    (mounted / "signing.pem").write_bytes(keys.private.read_bytes())
    assert "signing.pub" in broken()["signing key"]
    (mounted / "signing.pub").write_bytes(ensure_key(tmp_path / "others").public.read_bytes())
    assert "the signature does not hold" in broken()["signing key"]
    (mounted / "signing.pub").write_bytes(keys.public.read_bytes())
    assert "signing key" not in broken()


def test_a_delivery_repository_that_is_empty_stays_so(tmp_path, monkeypatch):
    with served(tmp_path) as server:
        server.named(monkeypatch)
        assert "branches can be pushed; main is not there yet" in found()["delivery repository"]
        assert not list((server.folder / "refs" / "heads").iterdir())
        (server.folder / "hooks" / "pre-receive").unlink(missing_ok=True)
        monkeypatch.setenv("GIT_CONFIG_VALUE_0", "Authorization: Basic d3Jvbmc6d3Jvbmc=")
        assert "git ls-remote" in broken()["delivery repository"]
        assert TOKEN not in str(list(examine("pets")))


def test_a_delivery_repository_that_may_only_be_read(tmp_path, monkeypatch):
    import subprocess

    with served(tmp_path) as server:
        subprocess.run(["git", "-C", server.folder, "config", "http.receivepack", "false"], check=True)
        server.named(monkeypatch)
        assert "git push" in broken()["delivery repository"]


def test_without_git(monkeypatch):
    monkeypatch.setitem(sys.modules, "git", None)
    assert "needs git; install it" in broken()["delivery repository"]


def test_a_delivery_elsewhere_needs_packages_elsewhere(tmp_path, monkeypatch):
    with served(tmp_path) as server:
        server.named(monkeypatch)
        assert "no cluster can fetch packages from here" in broken()["packages"]
