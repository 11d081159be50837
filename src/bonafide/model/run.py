"""The MLflow run that a training is recorded in."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """A run that has begun; ``tracking_uri`` is where."""

    id: str
    tracking_uri: str

    def finish(self, metrics: Mapping[str, float]) -> None:
        """Record what was measured, and that the run ended well.

        Raises:
            MlflowException: the registry does not take it.
        """
        from mlflow import MlflowClient

        client = MlflowClient(self.tracking_uri)
        for name, value in metrics.items():
            client.log_metric(self.id, name, value)
        client.set_terminated(self.id)
