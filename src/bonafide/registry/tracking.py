"""MLflow runs: SQLite and files under ``BONAFIDE_HOME`` unless ``MLFLOW_TRACKING_URI`` names a server."""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonafide.errors import ConfigError, DeliveryError
from bonafide.home import REGISTRY, home, registry, without_secrets
from bonafide.model.run import Run

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"
# What a server's refusal means, by what it says.
HINTS = {
    "error code 401": "log in by MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD or _TOKEN",
    "Permission denied": "let this user edit the task's experiment and its registered model",
    "Invalid Host header": "start the server with --allowed-hosts and the name and port of this address",
}
PROBE_SECONDS = 5
# What MLflow and the clients of its stores raise.
FAILURES = (
    ("mlflow.exceptions", "MlflowException"),
    ("requests", "RequestException"),
    ("boto3.exceptions", "Boto3Error"),
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("google.api_core.exceptions", "GoogleAPIError"),
    ("google.auth.exceptions", "GoogleAuthError"),
)


def tracking_uri() -> str:
    """Where runs and models are recorded.

    Raises:
        ConfigError: the state folder's path cannot stand in a database address, or an address must be named.
    """
    if server := registry():
        return server
    if broken := set(str(home())) & set("%?"):
        raise ConfigError(f"BONAFIDE_HOME {home()} holds {''.join(sorted(broken))}; choose another folder")
    return f"{SQLITE}{home() / 'mlflow.db'}"


def address() -> str:
    """The address for people: without a user's name and password."""
    return without_secrets(tracking_uri())


def start() -> None:
    """Make the SQLite file that the address names, with no model in it, unless it is there.

    Raises:
        DeliveryError: the address names a server, which does not answer.
    """
    database = _database()
    if database is None:
        client()
    elif not database.exists():
        database.parent.mkdir(parents=True, exist_ok=True)
        with answering():
            _open().search_experiments(max_results=1)  # makes the tables


def client() -> "MlflowClient":
    """A client of the tracking server and registry.

    Raises:
        DeliveryError: the server does not answer, or there is no such SQLite file: a registry that is not
            there must not be taken for one without a champion.
    """
    database = _database()
    if database and not database.exists():
        raise DeliveryError(
            f"no registry at {address()}; name your server in {REGISTRY}, "
            "or start an empty one: bonafide registry init"
        )
    with answering():
        _reach()
        return _open()


def ask() -> None:
    """Ask the registry what only its users are told; a server says to anyone that it is there.

    Raises:
        DeliveryError: as :func:`client`, or the server does not know us.
    """
    with answering():
        client().search_registered_models(max_results=1)


@contextmanager
def answering() -> Iterator[None]:
    """Tell a failure of the registry or of its store as a sentence; also a decorator.

    Raises:
        DeliveryError: it does not answer, or refuses what it was asked.
    """
    try:
        yield
    except _failures() as error:
        reason = str(error).partition("\n")[0].replace(tracking_uri(), address())
        hint = next((f"; {mend}" for said, mend in HINTS.items() if said in reason), "")
        where = f"the registry at {address()}"
        raise DeliveryError(f"{where} does not answer as it should: {reason}{hint}") from error


def experiment(task: str) -> str:
    """The id of the task's experiment, made on first use."""
    mlflow = client()
    found = mlflow.get_experiment_by_name(task)
    if found:
        return str(found.experiment_id)
    local = None if registry() else (home() / "mlartifacts").as_uri()
    try:
        return str(mlflow.create_experiment(task, artifact_location=local))
    except _failures():
        if found := mlflow.get_experiment_by_name(task):  # made meanwhile
            return str(found.experiment_id)
        raise


@answering()
def begin(task: str, parameters: dict[str, Any]) -> Run:
    """A new run of the task's experiment, with the parameters recorded.

    Raises:
        DeliveryError: the registry does not take the run.
    """
    from mlflow.entities import Param
    from mlflow.tracking.context.default_context import DefaultRunContext

    place, mlflow = experiment(task), client()
    tags = {**DefaultRunContext().tags(), "task": task}
    run = mlflow.create_run(place, tags=tags).info.run_id
    mlflow.log_batch(run, params=[Param(name, str(value)) for name, value in parameters.items()])
    return Run(run, tracking_uri())


def _failures() -> tuple[type[Exception], ...]:
    """Of the modules that are loaded: no other can have raised."""
    return tuple(getattr(sys.modules[module], name) for module, name in FAILURES if module in sys.modules)


def _database() -> Path | None:
    """The file that the address names; None if it names a server."""
    named = re.match(r"sqlite(?:\+\w+)?:///([^?]*)", tracking_uri())
    return Path(named[1]) if named else None


def _open() -> "MlflowClient":
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)  # it tells of every database migration
    return MlflowClient(tracking_uri())


def _reach() -> None:
    """MLflow asks for minutes before it gives up, so ask once; whatever a server says, it is there."""
    if tracking_uri().startswith(("http://", "https://")):
        from mlflow.utils.credentials import get_default_host_creds
        from mlflow.utils.rest_utils import http_request

        server = get_default_host_creds(tracking_uri())
        http_request(server, "/health", "GET", timeout=PROBE_SECONDS, max_retries=0, raise_on_status=False)
