"""Everything right, and each thing wrong in turn; what needs servers is in tests/e2e."""

import sys

import pytest

from bonafide.doctor import examine, examine_store, refuse_broken
from bonafide.errors import DeliveryError
from bonafide.feedback.database import Database
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


def test_a_store_that_is_not_named_is_not_missed(own_home, monkeypatch):
    monkeypatch.setenv("BONAFIDE_EPHEMERAL", "1")
    finding = examine_store()
    assert (finding.broken, finding.found) == (False, "BONAFIDE_STORE is not set, and this home has none")
    assert not own_home.exists()


def test_a_store_of_this_machine(own_home, monkeypatch):
    monkeypatch.setenv("BONAFIDE_STORE", "local")
    assert examine_store().found == "none yet; the first prediction makes it"
    assert list(own_home.iterdir()) == []
    Database(f"sqlite:///{own_home}/store.db").migrate()
    finding = examine_store()
    assert (finding.where, finding.broken) == (f"sqlite:///{own_home}/store.db", False)
    assert finding.found == "answers, its tables are those of this version"
    monkeypatch.delenv("BONAFIDE_STORE")
    assert examine_store() == finding


def test_a_file_that_is_no_store(tmp_path, monkeypatch):
    (tmp_path / "store.db").write_text("no database" * 100)
    monkeypatch.setenv("BONAFIDE_STORE", f"sqlite:///{tmp_path}/store.db")
    assert examine_store().broken
    assert "file is not a database" in examine_store().found


def test_a_step_that_leaves_nothing_behind_needs_a_store_elsewhere(monkeypatch):
    monkeypatch.setenv("BONAFIDE_STORE", "local")
    monkeypatch.setenv("BONAFIDE_EPHEMERAL", "1")
    finding = examine_store()
    assert finding.broken
    assert "BONAFIDE_STORE is local: this step's own folder is gone when it ends" in finding.found


def test_a_store_whose_tables_are_of_another_version(postgresql, monkeypatch):
    postgresql.execute("CREATE DATABASE doctor")
    address = postgresql.address("doctor")
    monkeypatch.setenv("BONAFIDE_STORE", address.replace("tests@", "tests:hush@"))
    finding = examine_store()
    assert finding.broken
    assert "are of revision none, this version needs" in finding.found
    assert "run 'bonafide feedback migrate'" in finding.found
    database = Database(address)
    database.migrate()
    assert not examine_store().broken
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    assert "are of revision 9999, this version needs" in examine_store().found
    assert "hush" not in str([finding, examine_store()])


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("postgresql://anna:hush@127.0.0.1:9/store", "does not answer as it should"),
        ("mysql://anna:hush@127.0.0.1/store", "the store cannot be 'mysql'"),
        ("postgresql//anna:hush@127.0.0.1/store", "the store's address cannot be read"),
    ],
)
def test_a_store_that_is_away_or_none(monkeypatch, address, said):
    monkeypatch.setenv("BONAFIDE_STORE", address)
    finding = examine_store()
    assert finding.broken
    assert said in finding.found
    assert "hush" not in str(finding)
    assert "store" not in broken()
