"""Vertex AI's API, as far as the runner asks it: each body is parsed strictly into the vendor's own types.

Runs go on only when a test says so.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import available_timezones

from google.cloud import aiplatform_v1
from google.protobuf import json_format
from google.protobuf.json_format import MessageToDict, ParseDict

from tests.http_server import JsonHandler, RefusedError, serving

PARENT = "/v1/projects/my-project/locations/europe-west4"


def refuse_broken(job: Any) -> None:
    """The pipeline itself: one document, into its own types; its images and its parameters."""
    from kfp.pipeline_spec import pipeline_spec_pb2 as pb

    given = MessageToDict(type(job).pb(job).pipeline_spec)
    specification = ParseDict(given, pb.PipelineSpec())
    deployment = ParseDict(given["deploymentSpec"], pb.PipelineDeploymentConfig())
    for executor in deployment.executors.values():
        if ".pkg.dev/" not in executor.container.image:
            raise RefusedError(400, f"image {executor.container.image} is not in Artifact Registry")
    known = specification.root.input_definitions.parameters
    if unknown := set(job.runtime_config.parameter_values) - set(known):
        raise RefusedError(400, f"unknown parameters {sorted(unknown)}")


@dataclass
class VertexServer:
    """What the server holds, by name."""

    url: str = ""
    jobs: dict[str, Any] = field(default_factory=dict)
    schedules: dict[str, Any] = field(default_factory=dict)
    failing: int = 0
    quota: int = 1000

    def step(self, run: str, name: str, state: str, error: str = "") -> None:
        """A step of a run gets there; so does the run, which works."""
        job = self.jobs[f"{PARENT.removeprefix('/v1/')}/pipelineJobs/{run}"]
        details = job.job_detail.task_details
        task = next((task for task in details if task.task_name == name), None)
        if task is None:
            task = aiplatform_v1.PipelineTaskDetail(task_name=name, start_time=datetime.now(UTC))
            details.append(task)
            task = details[-1]
        task.state = state
        if state != "RUNNING":
            task.end_time = datetime.now(UTC)
        if error:
            task.error.message = error
        job.state = "PIPELINE_STATE_RUNNING"

    def end(self, run: str, state: str, error: str = "") -> None:
        """A run ends."""
        job = self.jobs[f"{PARENT.removeprefix('/v1/')}/pipelineJobs/{run}"]
        job.state = f"PIPELINE_STATE_{state}"
        job.error.message = error

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Any:
        kind, _, rest = path.removeprefix(f"{PARENT}/").partition("/")
        if kind == "pipelineJobs":
            return self.ask_jobs(method, rest, query, body)
        if kind == "schedules":
            return self.ask_schedules(method, rest, body)
        raise RefusedError(404, f"no path {path}")

    def ask_jobs(self, method: str, rest: str, query: dict, body: Any) -> Any:
        if not rest and method == "POST":
            job = aiplatform_v1.PipelineJob.wrap(ParseDict(body, aiplatform_v1.PipelineJob.pb()()))
            refuse_broken(job)
            if len(self.jobs) >= self.quota:
                raise RefusedError(429, "quota of concurrent pipeline jobs exceeded")
            job.name = f"{PARENT.removeprefix('/v1/')}/pipelineJobs/{query['pipelineJobId'][0]}"
            if job.name in self.jobs:
                raise RefusedError(409, f"{job.name} already exists")
            job.state, job.create_time = "PIPELINE_STATE_PENDING", datetime.now(UTC)
            self.jobs[job.name] = job
            return told(job)
        if not rest:
            return {"pipelineJobs": [told(job) for job in reversed(self.jobs.values())]}
        name, _, action = rest.partition(":")
        job = self.found(self.jobs, f"pipelineJobs/{name}")
        if action == "cancel":
            job.state = "PIPELINE_STATE_CANCELLED"
            return {}
        return told(job)

    def ask_schedules(self, method: str, rest: str, body: Any) -> Any:
        if not rest and method == "POST":
            made = aiplatform_v1.Schedule.wrap(ParseDict(body, aiplatform_v1.Schedule.pb()()))
            refuse_broken(made.create_pipeline_job_request.pipeline_job)
            zone, fields = re.fullmatch(r"(?:TZ=(\S+) )?(.*)", made.cron).groups()
            if len(fields.split()) != 5 or (zone and zone not in available_timezones()):
                raise RefusedError(400, f"cron: {made.cron} is none")
            made.name = f"{PARENT.removeprefix('/v1/')}/schedules/{len(self.schedules) + 1}"
            made.state, made.next_run_time = "ACTIVE", datetime(2030, 1, 1, 2, tzinfo=UTC)
            self.schedules[made.name] = made
            return told(made)
        if not rest:
            return {"schedules": [told(made) for made in self.schedules.values()]}
        name, _, action = rest.partition(":")
        made = self.found(self.schedules, f"schedules/{name}")
        if method == "DELETE":
            del self.schedules[made.name]
            return {
                "name": f"{made.name}/operations/1",
                "done": True,
                "response": {"@type": "type.googleapis.com/google.protobuf.Empty"},
            }
        if action:
            made.state = {"pause": "PAUSED", "resume": "ACTIVE"}[action]
            return {}
        return told(made)

    def found(self, held: dict[str, Any], rest: str) -> Any:
        name = f"{PARENT.removeprefix('/v1/')}/{rest}"
        if name not in held:
            raise RefusedError(404, f"{name} not found")
        return held[name]


def told(message: Any) -> Any:
    return json_format.MessageToDict(type(message).pb(message))


@contextmanager
def served() -> Iterator[VertexServer]:
    """A server of its own."""
    state = VertexServer()

    class Handler(JsonHandler):
        def ask(self, path: str, query: dict[str, list[str]], body: Any) -> Any:
            if state.failing:
                state.failing -= 1
                raise RefusedError(403, "the caller does not have permission")
            try:
                return state.answer(self.command, path, query, body)
            except json_format.ParseError as error:
                raise RefusedError(400, str(error)) from error

    with serving(Handler) as state.url:
        yield state
