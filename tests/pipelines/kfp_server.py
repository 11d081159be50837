"""Kubeflow Pipelines' API, as far as the runner asks it: each body is held against the client's own models.

A field that the models do not know, or of another type, is answered 400, as the real gateway does. Runs go on
only when a test says so.
"""

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import kfp_server_api

from tests.http_server import JsonHandler, RefusedError, serving

TOKEN = "of-the-test"
PLAIN = {"str": (str, int), "bool": bool, "int": (int, str), "float": (float, int), "datetime": str}


def hold(value: Any, kind: str, where: str) -> None:
    """Refuse a value that is not of the model's type."""
    if kind == "object" or value is None:
        return
    if kind in PLAIN:
        if not isinstance(value, PLAIN[kind]):
            raise RefusedError(400, f"{where}: {value!r} is no {kind}")
    elif found := re.fullmatch(r"list\[(.*)\]", kind):
        for index, each in enumerate(value):
            hold(each, found[1], f"{where}[{index}]")
    elif found := re.fullmatch(r"dict\(str, (.*)\)", kind):
        for name, each in value.items():
            hold(each, found[1], f"{where}.{name}")
    else:
        hold_model(value, getattr(kfp_server_api, kind), where)


def hold_model(value: Any, model: Any, where: str) -> None:
    """Refuse what a model does not know, or an enumeration does not allow."""
    if not model.openapi_types:
        if value not in model.allowable_values:
            raise RefusedError(400, f"{where}: {value!r} is none of {model.allowable_values}")
        return
    names = {json_name: attribute for attribute, json_name in model.attribute_map.items()}
    for name, each in value.items():
        if name not in names:
            raise RefusedError(400, f"{where}: unknown field {name!r}")
        hold(each, model.openapi_types[names[name]], f"{where}.{name}")


@dataclass
class Kfp:
    """What the server holds, by id. ``bodies`` are what was posted, with the path."""

    url: str = ""
    experiments: dict[str, dict] = field(default_factory=dict)
    runs: dict[str, dict] = field(default_factory=dict)
    schedules: dict[str, dict] = field(default_factory=dict)
    bodies: list[tuple[str, dict]] = field(default_factory=list)
    failing: int = 0
    quota: int = 1000

    def step(self, run: str, name: str, state: str, error: str = "") -> None:
        """A step of a run gets there; so does the run, which works."""
        now = datetime.now(UTC).isoformat()
        details = self.runs[run].setdefault("run_details", {"task_details": []})["task_details"]
        task = next((task for task in details if task["display_name"] == name), None)
        if task is None:
            task = {"display_name": name, "start_time": now, "create_time": now, "task_id": str(len(details))}
            details.append(task)
        task["state"] = state
        if state != "RUNNING":
            task["end_time"] = now
        if error:
            task["error"] = {"code": 1, "message": error}
        self.runs[run]["state"] = "RUNNING"

    def end(self, run: str, state: str, error: str = "") -> None:
        """A run ends."""
        self.runs[run]["state"] = state
        if error:
            self.runs[run]["error"] = {"code": 1, "message": error}

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Any:
        base, _, rest = path.partition("/apis/v2beta1/")
        kind, _, identity = rest.partition("/")
        ways = {
            "experiments": self.ask_experiments,
            "runs": self.ask_runs,
            "recurringruns": self.ask_schedules,
        }
        if base or kind not in ways:
            raise RefusedError(404, f"no path {path}")
        if body is not None:
            self.bodies.append((path, body))
        return ways[kind](method, identity, query, body)

    def ask_experiments(self, method: str, identity: str, query: dict, body: Any) -> Any:
        if method == "POST":
            hold(body, "V2beta1Experiment", "experiment")
            made = {**body, "experiment_id": str(uuid.uuid4())}
            self.experiments[made["experiment_id"]] = made
            return made
        found = list(self.experiments.values())
        if "filter" in query:
            (predicate,) = json.loads(query["filter"][0])["predicates"]
            found = [each for each in found if each["display_name"] == predicate["stringValue"]]
        return {"experiments": found, "total_size": len(found)}

    def ask_runs(self, method: str, identity: str, query: dict, body: Any) -> Any:
        if method == "POST" and not identity:
            hold(body, "V2beta1Run", "run")
            self.refuse_broken(body)
            if len(self.runs) >= self.quota:
                raise RefusedError(429, "quota of runs exceeded")
            now = datetime.now(UTC).isoformat()
            made = {**body, "run_id": str(uuid.uuid4()), "state": "PENDING", "created_at": now}
            self.runs[made["run_id"]] = made
            return made
        if not identity:
            newest = list(reversed(self.runs.values()))[: int(query["page_size"][0])]
            return {"runs": newest, "total_size": len(self.runs)}
        name, _, action = identity.partition(":")
        if name not in self.runs:
            raise RefusedError(404, f"run {name} not found")
        if action == "terminate":
            self.runs[name]["state"] = "CANCELED"
            return {}
        return self.runs[name]

    def ask_schedules(self, method: str, identity: str, query: dict, body: Any) -> Any:
        if method == "POST" and not identity:
            hold(body, "V2beta1RecurringRun", "recurring run")
            self.refuse_broken(body)
            if len(body["trigger"]["cron_schedule"]["cron"].split()) != 6:
                raise RefusedError(400, "cron: six fields are needed")
            if not 1 <= int(body["max_concurrency"]) <= 10:
                raise RefusedError(400, "max_concurrency: 1 to 10")
            made = {**body, "recurring_run_id": str(uuid.uuid4()), "status": f"{body['mode']}D"}
            self.schedules[made["recurring_run_id"]] = made
            return made
        if not identity:
            found = list(self.schedules.values())
            return {"recurringRuns": found, "total_size": len(found)}
        name, _, action = identity.partition(":")
        if name not in self.schedules:
            raise RefusedError(404, f"recurring run {name} not found")
        if method == "DELETE":
            del self.schedules[name]
        elif action:
            self.schedules[name]["status"] = f"{action.upper()}D"
        return {} if method == "DELETE" or action else self.schedules[name]

    def refuse_broken(self, body: dict) -> None:
        """The pipeline itself, as the backend parses it."""
        from google.protobuf import json_format
        from kfp.pipeline_spec import pipeline_spec_pb2

        if body["experiment_id"] not in self.experiments:
            raise RefusedError(404, "no such experiment")
        given = body["pipeline_spec"]
        specification = given.get("pipeline_spec", given)
        parsed = json_format.ParseDict(specification, pipeline_spec_pb2.PipelineSpec())
        json_format.ParseDict(specification["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig())
        if "platform_spec" in given:
            json_format.ParseDict(given["platform_spec"], pipeline_spec_pb2.PlatformSpec())
        known = set(parsed.root.input_definitions.parameters)
        if unknown := set(body["runtime_config"]["parameters"]) - known:
            raise RefusedError(400, f"unknown parameters {sorted(unknown)}")


@contextmanager
def served() -> Iterator[Kfp]:
    """A server of its own."""
    state = Kfp()

    class Handler(JsonHandler):
        def ask(self, path: str, query: dict[str, list[str]], body: Any) -> Any:
            if state.failing:
                state.failing -= 1
                raise RefusedError(503, "the database is away")
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise RefusedError(401, "Unauthenticated")
            return state.answer(self.command, path, query, body)

        def error(self, refused: RefusedError) -> Any:
            return {"error": str(refused), "code": 3, "message": str(refused)}

    with serving(Handler) as state.url:
        yield state
