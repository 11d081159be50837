import pytest

from bonafide.errors import ConfigError
from bonafide.registry.tracking import client, experiment, run_logger, tracking_uri


def test_runs_are_kept_in_the_state_folder_unless_a_server_is_named(own_home, monkeypatch):
    assert tracking_uri() == f"sqlite:///{own_home}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert tracking_uri() == "http://tracking:5000"


def test_an_experiment_is_made_once_and_keeps_its_files_in_the_state_folder(registry):
    assert experiment("pets") == experiment("pets") != experiment("cars")
    found = client().get_experiment_by_name("pets")
    assert found.artifact_location == (registry / "mlartifacts").as_uri()


def test_a_run_has_its_parameters_and_metrics(registry):
    logger = run_logger("pets", {"epochs": 3, "seed": 7})
    logger.log_metrics({"val_loss": 0.5}, step=1)
    logger.finalize("success")
    run = client().get_run(logger.run_id)
    assert run.data.params == {"epochs": "3", "seed": "7"}
    assert run.data.metrics == {"val_loss": 0.5}
    assert run.data.tags["task"] == "pets"
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
