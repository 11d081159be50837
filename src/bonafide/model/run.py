"""The MLflow run that a training is recorded in."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Run:
    """A run that has begun; ``tracking_uri`` is where. As a context it has failed if what is within fails."""

    id: str
    tracking_uri: str

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        if failed:
            with suppress(Exception):  # what failed is told, and not that MLflow is away
                self._client().set_terminated(self.id, "FAILED")

    def finish(self, metrics: Mapping[str, float]) -> None:
        """Record what was measured, and that the run ended well.

        Raises:
            MlflowException: the registry does not take it.
        """
        client = self._client()
        for name, value in metrics.items():
            client.log_metric(self.id, name, value)
        client.set_terminated(self.id)

    def _client(self) -> "MlflowClient":
        from mlflow import MlflowClient

        return MlflowClient(self.tracking_uri)
