"""How runs of pipelines ended, beside the registry: for people, and for whatever watches."""

import json
import sys
from datetime import UTC, datetime

from bonafide.home import home, registry

FILE = "outcomes.jsonl"
EXPERIMENT = "pipelines"
SUCCEEDED = "SUCCEEDED"
# Kubeflow Pipelines says that a run is complete, Vertex AI and the local runner that it succeeded.
STATES = {"COMPLETE": SUCCEEDED, "CANCELED": "CANCELLED"}
MLFLOW = {SUCCEEDED: "FINISHED", "CANCELLED": "KILLED"}


def record(task: str, job: str, state: str, error: str) -> None:
    """Say on standard output how a run ended, and keep it.

    That is a line of ``outcomes.jsonl`` in this home, or a run of the experiment ``pipelines`` where a
    registry is named.

    Args:
        job: the run's name with the engine that ran it.
        state: as the engine calls it.
        error: why, or empty.

    Raises:
        DeliveryError: the registry does not answer.
    """
    ended = STATES.get(state, state)
    sys.stdout.write(f"{task}: {ended.lower()}{f', {error}' if error else ''}\n")
    outcome = {"task": task, "job": job, "state": ended, "error": error}
    if registry():
        _log(outcome)
    else:
        _append({"time": datetime.now(UTC).isoformat(timespec="seconds"), **outcome})


def _log(outcome: dict[str, str]) -> None:
    from bonafide.registry.tracking import answering, client, experiment

    with answering():
        run = client().create_run(experiment(EXPERIMENT), tags=outcome, run_name=outcome["job"])
        client().set_terminated(run.info.run_id, MLFLOW.get(outcome["state"], "FAILED"))


def _append(outcome: dict[str, str]) -> None:
    home().mkdir(parents=True, exist_ok=True)
    with (home() / FILE).open("a") as stream:
        stream.write(json.dumps(outcome) + "\n")
