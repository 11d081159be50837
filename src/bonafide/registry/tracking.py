"""MLflow runs: SQLite and files under ``BONAFIDE_HOME`` unless ``MLFLOW_TRACKING_URI`` names a server."""

import logging
import os
from typing import TYPE_CHECKING, Any

from bonafide.errors import ConfigError
from bonafide.home import home

if TYPE_CHECKING:
    from lightning.pytorch.loggers import MLFlowLogger
    from mlflow import MlflowClient


def tracking_uri() -> str:
    """Where runs and models are recorded.

    Raises:
        ConfigError: the state folder's path cannot stand in a database address.
    """
    if server := os.environ.get("MLFLOW_TRACKING_URI"):
        return server
    if broken := set(str(home())) & set("%?"):
        raise ConfigError(f"BONAFIDE_HOME {home()} holds {''.join(sorted(broken))}; choose another folder")
    return f"sqlite:///{home() / 'mlflow.db'}"


def client() -> "MlflowClient":
    """A client of the tracking server and registry."""
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of every database migration
    home().mkdir(parents=True, exist_ok=True)
    return MlflowClient(tracking_uri())


def experiment(task: str) -> str:
    """The id of the task's experiment, made on first use."""
    mlflow = client()
    found = mlflow.get_experiment_by_name(task)
    if found:
        return str(found.experiment_id)
    local = None if os.environ.get("MLFLOW_TRACKING_URI") else (home() / "mlartifacts").as_uri()
    return str(mlflow.create_experiment(task, artifact_location=local))


def run_logger(task: str, parameters: dict[str, Any]) -> "MLFlowLogger":
    """A Lightning logger on a new run of the task's experiment, with the parameters recorded."""
    from bonafide.model import vision  # noqa: F401  (before lightning, which imports torchvision)
    from lightning.pytorch.loggers import MLFlowLogger  # isort: skip

    experiment(task)
    logger = MLFlowLogger(experiment_name=task, tracking_uri=tracking_uri(), tags={"task": task})
    logger.log_hyperparams(parameters)
    return logger
