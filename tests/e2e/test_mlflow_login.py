"""A registry with a login, set up as the page "Run an MLflow server" has it."""

import pytest
import requests

from bonafide.doctor import examine
from bonafide.errors import DeliveryError
from bonafide.registry.tracking import ask, begin, experiment
from tests.docs.pages import blocks
from tests.mlflow_server import running

pytestmark = pytest.mark.e2e

TASK = "pets"
ADMIN, READER = ("admin", "an-administrator"), ("reader", "one-who-reads")


@pytest.fixture(scope="module")
def server(empty_registry, tmp_path_factory):
    """Users may read; what the administrator made, nobody else may edit."""
    folder = tmp_path_factory.mktemp("mlflow")
    settings = next(content for _, title, content in blocks("mlflow-server") if title == "auth.ini")
    assert "= EDIT\n" in settings
    lines = [
        f"database_uri = sqlite:///{folder}/auth.db" if "uri" in line else line
        for line in settings.split("\n")
    ]
    (folder / "auth.ini").write_text("\n".join(lines).replace("= EDIT", "= READ"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(folder / "auth.ini"))
        patch.setenv("MLFLOW_AUTH_ADMIN_PASSWORD", ADMIN[1])
        patch.setenv("MLFLOW_FLASK_SERVER_SECRET_KEY", "of-the-test")
        with running(empty_registry, folder, "--app-name", "basic-auth", "--host", "0.0.0.0") as address:
            made = dict(zip(("username", "password"), READER, strict=True))
            requests.post(f"{address}/api/2.0/mlflow/users/create", json=made, auth=ADMIN).raise_for_status()
            yield address


@pytest.fixture
def log_in(server, monkeypatch):
    def as_user(name: str, password: str) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", name)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    return as_user


def test_who_knows_no_password_is_told_how_to_log_in(log_in):
    told = "error code 401 .*; log in by MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    with pytest.raises(DeliveryError, match=told):
        ask()
    log_in(ADMIN[0], "another")
    with pytest.raises(DeliveryError, match=told) as refused:
        ask()
    assert "another" not in str(refused.value)


def test_who_knows_it_is_let_in(log_in):
    log_in(*ADMIN)
    ask()
    found = {finding.what: finding for finding in examine(TASK)}
    assert not found["registry"].broken, found["registry"].found


def test_who_may_only_read_is_stopped_before_anything_is_trained(log_in):
    log_in(*ADMIN)
    experiment(TASK)
    log_in(*READER)
    ask()
    (found,) = [finding for finding in examine(TASK) if finding.what == "registry"]
    assert found.broken and "let this user edit the task's experiment" in found.found
    with pytest.raises(DeliveryError, match="let this user edit"):
        begin(TASK, {"seed": 1})


def test_a_name_that_the_server_does_not_expect(log_in, server, monkeypatch):
    log_in(*ADMIN)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.replace("127.0.0.1", "127.0.0.2"))
    with pytest.raises(DeliveryError, match="start the server with --allowed-hosts"):
        ask()
