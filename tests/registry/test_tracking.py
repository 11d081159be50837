import http.server
import socket
import threading

import pytest

from bonafide.errors import ConfigError, DeliveryError
from bonafide.registry.tracking import address, begin, client, experiment, start, tracking_uri
from bonafide.registry.versions import champion


@pytest.fixture
def stranger():
    """The address of a web server that knows nothing of MLflow."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_no_registry_is_refused_and_an_empty_one_is_asked(own_home):
    with pytest.raises(DeliveryError, match=r"no registry at .*mlflow\.db; name your server in MLFLOW_TRACK"):
        champion("pets")
    assert not own_home.exists()
    start()
    assert champion("pets") is None


def test_a_mistyped_file_is_refused_too(own_home, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/typo.db")
    with pytest.raises(DeliveryError, match=r"no registry at sqlite:///.*typo\.db"):
        champion("pets")
    assert not (tmp_path / "typo.db").exists()


def test_starting_again_changes_nothing(registry):
    experiment("pets")
    before = (registry / "mlflow.db").read_bytes()
    start()
    assert (registry / "mlflow.db").read_bytes() == before


def test_a_server_that_is_not_there_is_said(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{taken.getsockname()[1]}")
        for ask in (client, start, lambda: champion("pets")):
            with pytest.raises(DeliveryError, match=r"registry at http://127\.0\.0\.1:\d+ does not") as told:
                ask()
            assert "secret" not in str(told.value)


def test_another_web_server_is_not_taken_for_an_empty_registry(monkeypatch, stranger):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", stranger)
    with pytest.raises(DeliveryError, match=f"the registry at {stranger} does not answer as it should"):
        champion("pets")


def test_a_password_is_not_shown(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:secret@host:5432/mlflow")
    assert address() == "postgresql://host:5432/mlflow"


def test_runs_are_kept_in_the_state_folder_unless_a_server_is_named(own_home, monkeypatch):
    assert tracking_uri() == f"sqlite:///{own_home}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert tracking_uri() == "http://tracking:5000"


def test_an_experiment_is_made_once_and_keeps_its_files_in_the_state_folder(registry):
    assert experiment("pets") == experiment("pets") != experiment("cars")
    found = client().get_experiment_by_name("pets")
    assert found.artifact_location == (registry / "mlartifacts").as_uri()


def test_a_run_has_its_parameters_and_metrics(registry):
    begun = begin("pets", {"epochs": 3, "seed": 7})
    assert client().get_run(begun.id).info.status == "RUNNING"
    begun.finish({"val_loss": 0.5})
    run = client().get_run(begun.id)
    assert run.data.params == {"epochs": "3", "seed": "7"}
    assert run.data.metrics == {"val_loss": 0.5}
    assert run.data.tags["task"] == "pets"
    assert run.data.tags["mlflow.user"]
    assert run.info.experiment_id == experiment("pets")
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize("name", ["with a blank", "hash#", "é"])
def test_the_state_folder_may_have_such_a_name(registry, monkeypatch, name):
    monkeypatch.setenv("BONAFIDE_HOME", str(registry.rename(registry.parent / name)))
    run = client().create_run(experiment("pets"))
    (registry.parent / "note.txt").write_text("x")
    client().log_artifact(run.info.run_id, str(registry.parent / "note.txt"))
    assert list((registry.parent / name / "mlartifacts").rglob("note.txt"))


@pytest.mark.parametrize("name", ["per%20cent", "what?"])
def test_a_state_folder_that_cannot_stand_in_an_address_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setenv("BONAFIDE_HOME", str(tmp_path / name))
    with pytest.raises(ConfigError, match="choose another folder"):
        tracking_uri()
