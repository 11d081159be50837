"""Git's own ways to keep a password, asked of the real git."""

from pathlib import Path

import pytest

from bonafide.delivery.review import credentials
from bonafide.delivery.review.credentials import login
from bonafide.errors import DeliveryError

ADDRESS = "https://git.example.org/team/delivery.git"
FOLDER = Path("/")
pytestmark = pytest.mark.usefixtures("no_git_settings")
HELPER = "!printf 'username=bot\\npassword=hush-hush\\n'; :"


@pytest.fixture
def git_config(monkeypatch):
    def set_one(name, value):
        monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
        monkeypatch.setenv("GIT_CONFIG_KEY_0", name)
        monkeypatch.setenv("GIT_CONFIG_VALUE_0", value)

    return set_one


def test_a_credential_helper_is_asked_for_the_host(git_config):
    git_config("credential.https://git.example.org.helper", HELPER)
    assert login(ADDRESS, FOLDER) == ("bot", "hush-hush")
    with pytest.raises(DeliveryError, match=r"no name and password for https://other.example.org/a/b"):
        login("https://other.example.org/a/b", FOLDER)


def test_a_header_counts_as_well(git_config):
    git_config("http.https://git.example.org/.extraHeader", "Authorization: Basic Ym90Omh1c2g6aHVzaA==")
    assert login(ADDRESS, FOLDER) == ("bot", "hush:hush")


@pytest.mark.parametrize("shown", ["YQ", "%%%%", "/w==", "Ym90"])
def test_a_header_that_cannot_be_read_is_told_and_not_shown(git_config, shown):
    git_config("http.extraHeader", f"Authorization: Basic {shown}")
    said = r"header that Git has for https://git.example.org/team/delivery.git .*base64 of NAME:PASSWORD"
    with pytest.raises(DeliveryError, match=said) as told:
        login(ADDRESS, FOLDER)
    assert shown not in str(told.value)


def test_so_does_what_stands_in_the_address():
    assert login("https://bot:hush%20hush@git.example.org/team/delivery.git", FOLDER) == ("bot", "hush hush")


@pytest.mark.parametrize("name", ["credential.helper", "http.extraHeader"])
def test_without_any_it_is_said_without_secrets(git_config, name):
    git_config(name, {"credential.helper": "", "http.extraHeader": "X-Team: safety"}[name])
    with pytest.raises(DeliveryError, match=r"no name and password for https://git.example.org/team") as told:
        login("https://bot@git.example.org/team/delivery.git", FOLDER)
    assert "credential helper" in str(told.value) and "bot" not in str(told.value)


def test_a_helper_that_never_answers_is_left_alone(git_config, monkeypatch):
    monkeypatch.setattr(credentials, "TIMEOUT_SECONDS", 0.2)
    git_config("credential.helper", "!exec sleep 5; :")
    with pytest.raises(DeliveryError, match="no name and password"):
        login(ADDRESS, FOLDER)
