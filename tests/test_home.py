from pathlib import Path

import pytest

from bonafide import home as places
from bonafide.errors import ConfigError
from bonafide.home import home, keys, without_secrets

SHARED = {
    "MLFLOW_TRACKING_URI": places.registry,
    "BONAFIDE_DELIVERY": places.delivery,
    "BONAFIDE_SIGNING_KEY": places.signing_key,
}
OWN = {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db", "BONAFIDE_DELIVERY": "delivery"}


def test_the_state_folder_is_read_at_each_call(tmp_path, monkeypatch):
    for name in ("one", "two"):
        monkeypatch.setenv("BONAFIDE_HOME", str(tmp_path / name))
        assert home() == tmp_path / name
        assert keys() == tmp_path / name / "keys"
        assert not home().exists()


def test_the_state_folder_is_absolute_and_in_the_working_folder_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("BONAFIDE_HOME")
    monkeypatch.chdir(tmp_path)
    assert home() == tmp_path / ".bonafide"
    monkeypatch.setenv("BONAFIDE_HOME", "state/../here")
    assert home() == Path.cwd() / "here"


def test_on_a_laptop_all_places_are_in_the_state_folder(own_home):
    assert (places.registry(), places.signing_key()) == ("", "")
    assert places.delivery() == str(own_home / "delivery")
    assert places.verifying_key() == own_home / "keys" / "signing.pub"


@pytest.mark.parametrize("variable", SHARED)
def test_a_place_is_what_the_environment_names(monkeypatch, variable):
    monkeypatch.setenv(variable, "there")
    assert SHARED[variable]() == "there"


@pytest.mark.parametrize("variable", SHARED)
def test_a_step_that_leaves_nothing_behind_refuses_its_own_folder(monkeypatch, variable):
    monkeypatch.setenv("BONAFIDE_EPHEMERAL", "1")
    with pytest.raises(ConfigError, match=f"{variable} is not set: .* gone when it ends; give the"):
        SHARED[variable]()


@pytest.mark.parametrize("variable", OWN)
def test_nor_may_it_name_what_lies_in_the_step_itself(monkeypatch, variable):
    monkeypatch.setenv("BONAFIDE_EPHEMERAL", "1")
    monkeypatch.setenv(variable, OWN[variable])
    with pytest.raises(ConfigError, match=f"{variable} is {OWN[variable]}: .* gone when it ends"):
        SHARED[variable]()


@pytest.mark.parametrize(
    ("named", "place"),
    [
        ("", ""),
        ("oci://registry.example.org", "oci://registry.example.org"),
        ("oci://localhost:5000/team/our-models/", "oci://localhost:5000/team/our-models"),
        ("oci://[::1]:5000/team", "oci://[::1]:5000/team"),
    ],
)
def test_packages_go_to_a_container_registry_if_one_is_named(monkeypatch, named, place):
    assert places.container_registry() == ""
    monkeypatch.setenv("BONAFIDE_PACKAGES", named)
    assert places.container_registry() == place


@pytest.mark.parametrize(
    "named",
    [
        "registry.example.org/team",
        "docker://registry.example.org/team",
        "oci+native://registry.example.org/team",
        "oci://registry/team",
        "oci://registry.example.org/team:latest",
        "oci://registry.example.org/Team",
        "oci://registry.example.org/../team",
        "oci://anna:hush@registry.example.org/team",
        "oci://registry.example.org/team?x",
    ],
)
def test_what_names_no_repository_is_refused(monkeypatch, named):
    monkeypatch.setenv("BONAFIDE_PACKAGES", named)
    with pytest.raises(ConfigError, match=r"BONAFIDE_PACKAGES is .*; give oci://HOST/REPOSITORY") as told:
        places.container_registry()
    assert "hush" not in str(told.value)


def test_the_public_key_lies_beside_the_private_one_or_is_named(monkeypatch):
    monkeypatch.setenv("BONAFIDE_SIGNING_KEY", "/etc/bonafide/production.pem")
    assert places.verifying_key() == Path("/etc/bonafide/production.pub")
    monkeypatch.setenv("BONAFIDE_SIGNING_KEY", "pkcs11:token=bonafide;object=signing")
    with pytest.raises(ConfigError, match=r"BONAFIDE_PUBLIC_KEY is not set: name the file"):
        places.verifying_key()
    monkeypatch.setenv("BONAFIDE_PUBLIC_KEY", "/etc/bonafide/hardware.pub")
    assert places.verifying_key() == Path("/etc/bonafide/hardware.pub")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://anna:hush@git.example/d.git", "https://git.example/d.git"),
        ("git@git.example:d.git", "git@git.example:d.git"),
        (
            "pkcs11:token=t;object=o?pin-value=1234&module-name=m",
            "pkcs11:token=t;object=o?pin-value=&module-name=m",
        ),
        ("/a/folder", "/a/folder"),
    ],
)
def test_an_address_is_shown_without_its_secrets(address, shown):
    assert without_secrets(address) == shown


def test_the_store_is_this_home_s_own_unless_it_is_named(monkeypatch, own_home):
    for named in ("", "local"):
        monkeypatch.setenv("BONAFIDE_STORE", named)
        assert places.store() == f"sqlite:///{own_home}/store.db"
    monkeypatch.setenv("BONAFIDE_STORE", "postgresql://db/store")
    assert places.store() == "postgresql://db/store"


@pytest.mark.parametrize("named", ["", "local", "sqlite:////var/store.db"])
def test_a_step_s_own_store_would_be_gone_with_it(monkeypatch, named):
    monkeypatch.setenv("BONAFIDE_EPHEMERAL", "1")
    monkeypatch.setenv("BONAFIDE_STORE", named)
    with pytest.raises(ConfigError, match="give the address of its PostgreSQL"):
        places.store()
