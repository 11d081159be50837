"""Runs on Vertex AI Pipelines, by its own client."""

import logging
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from google.auth.credentials import AnonymousCredentials

from bonafide.errors import DeliveryError
from pipelines.engines import Vertex
from pipelines.rendering import all_steps, is_known, render, to_yaml
from pipelines.runners.engine import RemoteRun, Schedule, named
from pipelines.runners.steps import Step

CLIENT = "google.cloud.aiplatform"
PREFIX = "PIPELINE_STATE_"
RUNS = {
    "SUCCEEDED": "SUCCEEDED",
    "FAILED": "FAILED",
    "CANCELLED": "CANCELLED",
    "QUEUED": "PENDING",
    "PENDING": "PENDING",
}
NOT_BEGUN = ("STATE_UNSPECIFIED", "NOT_TRIGGERED")
STEPS = {"SUCCEEDED": "SUCCESS", "SKIPPED": "SUCCESS", "FAILED": "FAILURE", "CANCELLED": "FAILURE"}


class VertexEngine:
    """Runs are known by their job's id. An endpoint at http:// is a stand-in that asks for no credentials."""

    def __init__(self, settings: Vertex) -> None:
        from google.cloud import aiplatform

        self._settings = settings
        self._stands_in = settings.endpoint.startswith("http://")
        with _answering(settings):
            aiplatform.init(
                project=settings.project,
                location=settings.location,
                staging_bucket=settings.bucket,
                api_endpoint=settings.endpoint or None,
                api_transport="rest",
                credentials=AnonymousCredentials() if self._stands_in else None,
            )
        self._vertex = aiplatform

    def submit(self, name: str, arguments: dict[str, Any], label: str = "") -> RemoteRun:
        """Start the pipeline of that name; the run's name holds the label."""
        fresh = not is_known(arguments)
        with _answering(self._settings), self._job(name, arguments, fresh, label) as job:
            job.submit(service_account=self._settings.service_account)
            return self._run(job)

    def look(self, run: str) -> RemoteRun:
        """How a run stands, with its steps."""
        with _answering(self._settings):
            return self._run(self._vertex.PipelineJob.get(run))

    def cancel(self, run: str) -> None:
        """End a run; steps that work are stopped."""
        with _answering(self._settings):
            self._vertex.PipelineJob.get(run).cancel()

    def runs(self, limit: int) -> list[RemoteRun]:
        """The newest runs, without their steps."""
        with _answering(self._settings):
            found = self._vertex.PipelineJob.list(order_by="create_time desc", enable_simple_view=True)
            return [self._run(job) for job in found[:limit]]

    def schedule(self, name: str, arguments: dict[str, Any], cron: str, time_zone: str = "") -> Schedule:
        """Start the pipeline by itself from now on, one run at a time."""
        with _answering(self._settings), self._job(name, arguments, fresh=True) as job:
            made = job.create_schedule(
                cron=f"TZ={time_zone} {cron}" if time_zone else cron,
                display_name=named(name, arguments),
                max_concurrent_run_count=1,
                service_account=self._settings.service_account,
            )
            return _schedule(made)

    def schedules(self) -> list[Schedule]:
        """All schedules."""
        with _answering(self._settings):
            return [_schedule(made) for made in self._vertex.PipelineJobSchedule.list()]

    def pause(self, schedule: str) -> None:
        """Start no run until :meth:`resume`."""
        with _answering(self._settings):
            self._vertex.PipelineJobSchedule.get(schedule).pause()

    def resume(self, schedule: str) -> None:
        """Go on; what was missed is not made up for."""
        with _answering(self._settings):
            self._vertex.PipelineJobSchedule.get(schedule).resume(catch_up=False)

    def unschedule(self, schedule: str) -> None:
        """Remove a schedule; its runs stay."""
        with _answering(self._settings):
            self._vertex.PipelineJobSchedule.get(schedule).delete()

    def _refuse_absent_bucket(self) -> None:
        """Vertex AI's client would make a bucket out of a misspelt name."""
        from google.cloud import storage

        credentials = AnonymousCredentials() if self._stands_in else None
        name = self._settings.bucket.removeprefix("gs://").partition("/")[0]
        if not storage.Client(self._settings.project, credentials).bucket(name).exists():
            raise DeliveryError(f"bucket {name} is not there; make it, or correct engines/vertex.yaml")

    @contextmanager
    def _job(self, name: str, arguments: dict[str, Any], fresh: bool, label: str = "") -> Iterator[Any]:
        self._refuse_absent_bucket()
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / f"{name}.yaml"
            path.write_text(to_yaml(render(name, self._settings, fresh)))
            yield self._vertex.PipelineJob(
                display_name=f"{name} {datetime.now():%Y-%m-%d %H:%M:%S} {label}".rstrip(),
                template_path=str(path),
                # Two of one second would clash.
                job_id=f"{name}-{datetime.now():%Y%m%d%H%M%S}-{uuid4().hex[:6]}",
                pipeline_root=self._settings.bucket,
                parameter_values=arguments,
            )

    def _run(self, job: Any) -> RemoteRun:
        found = job.gca_resource
        state = found.state.name.removeprefix(PREFIX)
        where = f"locations/{self._settings.location}/runs/{job.name}?project={self._settings.project}"
        return RemoteRun(
            id=job.name,
            name=found.display_name,
            state=RUNS.get(state, "RUNNING"),
            link=f"https://console.cloud.google.com/vertex-ai/pipelines/{where}",
            created=f"{found.create_time:%Y-%m-%d %H:%M}" if found.create_time else "",
            error=found.error.message,
            steps=tuple(_steps(found.job_detail.task_details)),
        )


def _steps(details: Any) -> Iterator[Step]:
    """The tasks that are steps of ours; the engine also lists groups."""
    known = all_steps()
    for task in sorted(details, key=lambda task: str(task.start_time or task.create_time or "~")):
        if task.task_name in known and task.state.name not in NOT_BEGUN:
            ended = task.start_time and task.end_time
            yield Step(
                name=task.task_name,
                seconds=(task.end_time - task.start_time).total_seconds() if ended else 0.0,
                cache_key="cached" if task.state.name == "SKIPPED" else "",
                state=STEPS.get(task.state.name, "RUNNING"),
                error=task.error.message,
            )


def _schedule(made: Any) -> Schedule:
    found = made.gca_resource
    zone, cron = re.fullmatch(r"(?:(?:CRON_)?TZ=(\S+) )?(.*)", found.cron).groups("")
    return Schedule(
        id=made.name,
        name=found.display_name,
        cron=cron,
        enabled=found.state.name == "ACTIVE",
        next=f"{found.next_run_time:%Y-%m-%d %H:%M}" if found.next_run_time else "",
        time_zone=zone,
    )


@contextmanager
def _answering(settings: Vertex) -> Iterator[None]:
    """Tell a failure as a sentence, and keep what the client prints to itself.

    Raises:
        DeliveryError: the service does not answer, or refuses.
    """
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException

    where = f"Vertex AI at {settings.endpoint or settings.location}, project {settings.project}"
    for name in [each for each in logging.root.manager.loggerDict if each.startswith(CLIENT)]:
        logging.getLogger(name).setLevel(logging.ERROR)  # each of them prints for notebooks
    try:
        yield
    except GoogleAuthError as error:
        hint = "give credentials: gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS"
        raise DeliveryError(f"{where}: {error}; {hint}") from error
    except (GoogleAPIError, RequestException, RuntimeError, ValueError) as error:
        raise DeliveryError(f"{where}: {str(error).partition(chr(10))[0]}") from error
