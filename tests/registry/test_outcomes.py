import json

import pytest

from bonafide.registry.outcomes import EXPERIMENT, FILE, record
from bonafide.registry.tracking import client


def test_outcomes_are_appended_one_a_line(own_home, capsys):
    record("pets", "local/1", "SUCCEEDED", "")
    record("pets", "local/2", "FAILED", "no\nimages: é")
    first, second = map(json.loads, (own_home / FILE).read_text().splitlines())
    assert (first["task"], first["job"], first["state"], first["error"]) == (
        "pets",
        "local/1",
        "SUCCEEDED",
        "",
    )
    assert (second["state"], second["error"]) == ("FAILED", "no\nimages: é")
    assert first["time"] <= second["time"]
    assert capsys.readouterr().out.startswith("pets: succeeded\npets: failed, no")


@pytest.mark.parametrize(
    ("told", "state", "status"),
    [
        ("COMPLETE", "SUCCEEDED", "FINISHED"),
        ("SUCCEEDED", "SUCCEEDED", "FINISHED"),
        ("FAILED", "FAILED", "FAILED"),
        ("CANCELLED", "CANCELLED", "KILLED"),
    ],
)
def test_where_a_registry_is_named_an_outcome_is_a_run_there(
    registry, tmp_path, monkeypatch, told, state, status
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{registry / 'mlflow.db'}")
    monkeypatch.setenv("BONAFIDE_HOME", str(tmp_path / "gone-with-the-step"))
    record("pets", "kubeflow/1", told, "why" if state == "FAILED" else "")
    assert not (tmp_path / "gone-with-the-step").exists()
    (experiment,) = client().search_experiments(filter_string=f"name = '{EXPERIMENT}'")
    (run,) = client().search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("kubeflow/1", status)
    assert run.data.tags["state"] == state
    assert run.data.tags["error"] == ("why" if state == "FAILED" else "")
