"""Runs on Kubeflow Pipelines, by its own client."""

import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

from bonafide.errors import ConfigError, DeliveryError
from pipelines.engines import Kubeflow
from pipelines.rendering import all_steps, is_known, render, to_yaml
from pipelines.runners.engine import RemoteRun, Schedule, named
from pipelines.runners.steps import Step

TOKEN = "BONAFIDE_KUBEFLOW_TOKEN"  # noqa: S105  (the variable's name)
MOUNTED_TOKEN = "/var/run/secrets/kubeflow/pipelines/token"  # noqa: S105  (its file in a pod)
TIMEOUT_SECONDS = (5, 60)
NOT_BEGUN = "RUNTIME_STATE_UNSPECIFIED"
RUNS = {
    "SUCCEEDED": "SUCCEEDED",
    "SKIPPED": "SUCCEEDED",
    "FAILED": "FAILED",
    "CANCELED": "CANCELLED",
    "PENDING": "PENDING",
    NOT_BEGUN: "PENDING",
}
STEPS = {"SUCCEEDED": "SUCCESS", "SKIPPED": "SUCCESS", "FAILED": "FAILURE", "CANCELED": "FAILURE"}


class KubeflowEngine:
    """Experiments are named by the pipeline; the server is first asked by a method."""

    def __init__(self, settings: Kubeflow) -> None:
        self._settings = settings
        with _answering(settings), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions before 2.0
            self._client = _client(settings)
        _bound(self._client._run_api.api_client.rest_client)

    def submit(self, name: str, arguments: dict[str, Any], label: str = "") -> RemoteRun:
        """Start the pipeline of that name; the run's name holds the label."""
        fresh = not is_known(arguments)
        with _answering(self._settings), self._package(name, fresh) as package:
            made = self._client.run_pipeline(
                self._experiment(name),
                f"{name} {datetime.now():%Y-%m-%d %H:%M:%S} {label}".rstrip(),
                pipeline_package_path=package,
                params=arguments,
                service_account=self._settings.service_account,
            )
        return self._run(made)

    def look(self, run: str) -> RemoteRun:
        """How a run stands, with its steps."""
        with _answering(self._settings):
            return self._run(self._client.get_run(run))

    def cancel(self, run: str) -> None:
        """End a run; steps that work are stopped."""
        with _answering(self._settings):
            self._client.terminate_run(run)

    def runs(self, limit: int) -> list[RemoteRun]:
        """The newest runs, without their steps."""
        with _answering(self._settings):
            found = self._client.list_runs(
                page_size=limit, sort_by="created_at desc", namespace=self._settings.namespace
            )
        return [self._run(run) for run in found.runs or ()]

    def schedule(self, name: str, arguments: dict[str, Any], cron: str, time_zone: str = "") -> Schedule:
        """Start the pipeline by itself from now on, one run at a time, by the server's clock."""
        if time_zone:
            raise ConfigError("Kubeflow Pipelines takes no time zone; give times by its server's clock")
        with _answering(self._settings), self._package(name, fresh=True) as package:
            made = self._client.create_recurring_run(
                self._experiment(name),
                named(name, arguments),
                cron_expression=f"0 {cron}",  # with seconds
                max_concurrency=1,
                no_catchup=True,
                params=arguments,
                pipeline_package_path=package,
                service_account=self._settings.service_account,
            )
        return _schedule(made)

    def schedules(self) -> list[Schedule]:
        """All schedules."""
        with _answering(self._settings):
            found = self._client.list_recurring_runs(page_size=100, namespace=self._settings.namespace)
        return [_schedule(made) for made in found.recurring_runs or ()]

    def pause(self, schedule: str) -> None:
        """Start no run until :meth:`resume`."""
        with _answering(self._settings):
            self._client.disable_recurring_run(schedule)

    def resume(self, schedule: str) -> None:
        """Go on; what was missed is not made up for."""
        with _answering(self._settings):
            self._client.enable_recurring_run(schedule)

    def unschedule(self, schedule: str) -> None:
        """Remove a schedule; its runs stay."""
        with _answering(self._settings):
            self._client.delete_recurring_run(schedule)

    def _experiment(self, name: str) -> str:
        return str(self._client.create_experiment(name, namespace=self._settings.namespace).experiment_id)

    @contextmanager
    def _package(self, name: str, fresh: bool) -> Iterator[str]:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / f"{name}.yaml"
            path.write_text(to_yaml(render(name, self._settings, fresh)))
            yield str(path)

    def _run(self, found: Any) -> RemoteRun:
        details = found.run_details.task_details if found.run_details else None
        host = self._settings.link or self._settings.host
        return RemoteRun(
            id=found.run_id,
            name=found.display_name,
            state=RUNS.get(found.state or "PENDING", "RUNNING"),
            link=f"{host.rstrip('/')}/#/runs/details/{found.run_id}" if host else "",
            created=f"{found.created_at:%Y-%m-%d %H:%M}" if found.created_at else "",
            error=found.error.message if found.error and found.error.message else "",
            steps=tuple(_steps(details or ())),
        )


def _client(settings: Kubeflow) -> Any:
    """KFP's own, which while it is made would take ``kubeflow`` for no namespace, and ask for one."""
    from kfp import Client
    from kfp.client import ServiceAccountTokenVolumeCredentials

    class Named(Client):
        def _load_context_setting_or_default(self) -> None:
            super()._load_context_setting_or_default()
            self._context_setting["namespace"] = settings.namespace

    mounted = Path(os.environ.get("KF_PIPELINES_SA_TOKEN_PATH", MOUNTED_TOKEN))
    return Named(
        host=settings.host,
        namespace=settings.namespace,
        existing_token=os.environ.get(TOKEN),
        credentials=ServiceAccountTokenVolumeCredentials(mounted) if mounted.exists() else None,
    )


def _bound(rest: Any) -> None:
    """Give each request of the generated client, which would wait for ever and take any page, an end."""
    request = rest.request

    def bounded(*words: Any, _request_timeout: Any = None, **named: Any) -> Any:
        answer = request(*words, _request_timeout=_request_timeout or TIMEOUT_SECONDS, **named)
        kind = answer.getheader("Content-Type") or ""
        if answer.data and not kind.startswith("application/json"):
            raise DeliveryError(f"Kubeflow Pipelines answers with {kind}: log in, or name the API itself")
        return answer

    rest.request = bounded


def _steps(details: Any) -> Iterator[Step]:
    """The tasks that are steps of ours; the engine also lists its drivers and groups."""
    known = all_steps()
    for task in sorted(details, key=lambda task: str(task.start_time or task.create_time or "~")):
        if task.display_name in known and task.state not in (None, NOT_BEGUN):
            seconds = 0.0
            if task.start_time and task.end_time:
                seconds = (task.end_time - task.start_time).total_seconds()
            yield Step(
                name=task.display_name,
                seconds=seconds,
                cache_key="cached" if task.state == "SKIPPED" else "",
                state=STEPS.get(task.state, "RUNNING"),
                error=task.error.message if task.error and task.error.message else "",
            )


def _schedule(made: Any) -> Schedule:
    cron = made.trigger.cron_schedule.cron if made.trigger and made.trigger.cron_schedule else ""
    return Schedule(
        id=made.recurring_run_id,
        name=made.display_name,
        cron=re.sub(r"^0 ", "", cron),
        enabled=made.status == "ENABLED",
    )


@contextmanager
def _answering(settings: Kubeflow) -> Iterator[None]:
    """Tell a failure as a sentence, and keep what the client prints for notebooks to itself.

    Raises:
        DeliveryError: the server does not answer, or refuses.
    """
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError

    where = settings.host
    try:
        with redirect_stdout(StringIO()):
            yield
    except ApiException as error:
        told = re.search(r'"(?:message|error)"\s*:\s*"([^"]+)', str(error.body or ""))
        reason = told[1] if told else error.reason
        hint = f"; give a token that holds in ${TOKEN}" if error.status in (401, 403) else ""
        raise DeliveryError(f"Kubeflow Pipelines at {where}: {error.status} {reason}{hint}") from error
    except (HTTPError, OSError) as error:
        raise DeliveryError(f"Kubeflow Pipelines at {where} does not answer: {error}") from error
