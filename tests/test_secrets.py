"""Secrets of a step that mounts none, from a server that answers in Secret Manager's own types."""

import os
import stat
import subprocess
import sys

import pytest

from bonafide import secrets
from bonafide.errors import BonafideError, ConfigError
from bonafide.secrets import provide
from tests.secret_manager import served

VALUE = "hush-hush"
TOKEN = "projects/my-project/secrets/delivery-token/versions/3"
KEY = "projects/my-project/secrets/signing-key/versions/1"


@pytest.fixture
def manager(monkeypatch):
    monkeypatch.setattr(secrets, "PATIENCE_SECONDS", 0.1)
    with served() as running:
        running.held = {TOKEN: VALUE.encode(), KEY: b"-----BEGIN PRIVATE KEY-----\n"}
        monkeypatch.setenv("BONAFIDE_SECRET_MANAGER", running.url)
        yield running


def step(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bonafide.secrets", *words]
    own = {**os.environ, **environment}
    return subprocess.run(command, env=own, capture_output=True, text=True, timeout=100)


def test_the_command_finds_variables_and_files_and_ends_as_it_does(manager, tmp_path):
    key = tmp_path / "keys" / "signing=1.pem"
    script = 'printf "%s\\n" "$TOKEN" "$0" "$@"; cat "$KEY"; exit 7'
    command = ("sh", "-ec", script, "a b", "--", "c")
    done = step(f"TOKEN={TOKEN}", f"{key}={KEY}", "--", *command, KEY=str(key))
    assert done.returncode == 7
    assert done.stdout == f"{VALUE}\na b\n--\nc\n-----BEGIN PRIVATE KEY-----\n"
    assert done.stderr == ""
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_command_does_not_begin_without_its_secrets(manager, tmp_path):
    del manager.held[TOKEN]
    done = step(f"TOKEN={TOKEN}", "--", "touch", str(tmp_path / "begun"))
    assert done.returncode == 2
    assert done.stderr == (
        f"bonafide: TOKEN: Secret Manager does not give {TOKEN}: 404 Secret Version [{TOKEN}] not found.; "
        "make it: gcloud secrets versions add\n"
    )
    assert not (tmp_path / "begun").exists()


def test_a_regional_secret_is_asked_for_by_its_name(manager, monkeypatch):
    monkeypatch.setenv("TOKEN", "of yesterday")
    regional = TOKEN.replace("/secrets/", "/locations/europe-west4/secrets/")
    manager.held = {regional: VALUE.encode()}
    provide([("TOKEN", regional)])
    assert os.environ["TOKEN"] == VALUE


def test_the_line_s_end_of_echo_is_no_part_of_a_variable(manager, monkeypatch):
    monkeypatch.setenv("TOKEN", "of yesterday")
    manager.held[TOKEN] = f"{VALUE}\n".encode()
    provide([("TOKEN", TOKEN)])
    assert os.environ["TOKEN"] == VALUE


def closed(manager):
    manager.closed.add(TOKEN)


def away(manager):
    manager.failing = 1000


def damaged(manager):
    manager.damaged = True


def gone(manager):
    os.environ["BONAFIDE_SECRET_MANAGER"] = "http://127.0.0.1:9"


def binary(manager):
    manager.held[TOKEN] = b"hush\0hush"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (closed, "403 .*denied .*; give the step's service account roles/secretmanager.secretAccessor on it"),
        (away, "503 .*the service is away"),
        (gone, "127.0.0.1.*refused"),
        (damaged, "arrived damaged"),
        (binary, "holds bytes that no variable can; let it become a file"),
    ],
)
def test_what_is_wrong_is_a_sentence_with_the_variable_and_the_name(manager, wrong, said):
    wrong(manager)
    with pytest.raises(ConfigError, match=f"^TOKEN: .*{said}") as told:
        provide([("TOKEN", TOKEN)])
    assert TOKEN in str(told.value)
    assert "hush" not in str(told.value)


def test_a_service_that_is_away_for_a_moment_is_asked_again(manager, monkeypatch):
    monkeypatch.setattr(secrets, "PATIENCE_SECONDS", 60)
    monkeypatch.setenv("TOKEN", "")
    manager.failing = 1
    provide([("TOKEN", TOKEN)])
    assert os.environ["TOKEN"] == VALUE


def test_without_credentials_it_is_said_that_some_are_needed(monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(ConfigError, match="needs the credentials of a service account"):
        provide([("TOKEN", TOKEN)])


def test_a_folder_that_cannot_be_written_is_told(manager, tmp_path):
    (tmp_path / "keys").write_text("a file")
    with pytest.raises(BonafideError, match=f"cannot write {tmp_path}/keys/signing.pem"):
        provide([(f"{tmp_path}/keys/signing.pem", KEY)])
