"""Write the reference pages that follow from the code: ``python docs/generate.py``.

``reference/cli.md`` comes from the ``bonafide`` command, ``reference/task.md`` from the task's schema and the
meanings in ``reference/task-keys.yaml``, ``reference/engines.md`` from the schemas of ``engines/*.yaml`` and
``reference/engine-keys.yaml``, ``reference/rollout.md`` from that of ``rollout.yaml`` and
``reference/rollout-keys.yaml``, ``reference/metrics.md`` from what ``telemetry`` declares. A test holds the
committed pages against what this makes.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import typer
import yaml
from prometheus_client.metrics import Histogram, MetricWrapperBase
from pydantic import TypeAdapter

from bonafide.cli.main import app
from bonafide.delivery.rollout.settings import RolloutSettings
from bonafide.files import write_text
from bonafide.source import OneSource, Source
from bonafide.task import Label, Task, TaskName
from bonafide.telemetry import metrics
from pipelines.engines import Bucket, FilePath, Image, Kubeflow, Name, SecretVersion, Variable, Vertex

REFERENCE = Path(__file__).parent / "reference"
TASKS = Path(__file__).parents[1] / "tasks"
DEFAULT = " [default: "
LONGEST_DEFAULT = 40  # a column of longer ones would squeeze the others
SOURCES = [kind.__name__ for kind in get_args(get_args(Source)[0])]
KINDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}

PATTERNS = {
    TypeAdapter(kind).json_schema()["pattern"]: words
    for kind, words in {
        Label: "letters, digits and underscores, then also spaces and hyphens",
        TaskName: "lower-case letters, digits and inner hyphens",
        Variable: "variable",
        FilePath: "path",
        Name: "lower-case letters, digits, inner hyphens and dots",
        Image: "ending with its digest, `@sha256:…`",
        Bucket: "beginning with `gs://`",
        SecretVersion: "`NAME/versions/NUMBER`",
    }.items()
}

CLI_HEAD = """# Commands

Every command ends with one of these codes.

| Code | Meaning |
|---|---|
| 0 | Done. |
| 1 | The gate refused the model, or an unexpected error (with a traceback) that should be reported. |
| 2 | Something you can mend: one sentence says what, where and what to do. |
| 130 | Stopped with Ctrl-C; the same command goes on where it stopped. |

`BONAFIDE_HOME` (default `.bonafide`) is the folder that holds all state. `MLFLOW_TRACKING_URI` names an
MLflow server; without it, runs go to SQLite and files in that folder.
"""

TASK_HEAD = """# Task configuration

A task is one YAML file in `tasks/`. An unknown key is an error that names the nearest valid one, or all
keys of the source's kind. Any value can be changed for one run with `--set section.key=value`; values are
YAML.
"""

ENGINES_HEAD = """# Engine settings

What [Kubeflow Pipelines](../how-to/kubeflow.md) or [Vertex AI](../how-to/vertex.md) gets beside the compiled
pipeline is one YAML file, `engines/NAME.yaml`. `engines/kubeflow.example.yaml` and
`engines/vertex.example.yaml` are there to be copied. An unknown key is an error that names the nearest
valid one.
"""

ROLLOUT_HEAD = """# Rollouts

`environments/ENVIRONMENT/TASK/rollout.yaml` in the delivery repository says how a new version takes over.
Every key may be left out. [Roll out a version](../how-to/rollouts.md) shows how to use it, and [decision
0027](../decisions/0027-canary-judge.md) has the reasons.

## What is compared

Each check is a share of events among trials, counted in windows of time for both versions.

| Check | Event | Trial | Weight |
|---|---|---|---|
| errors | a request that failed or found the queue full | a request that was not refused | 0.3 |
| slow | `infer` took longer than 90 % of the stable version's answers | an answer | 0.2 |
| each label | an image that got the label | an image | 0.2, divided among the labels |
| confidence | a probability up to the middle of the stable version's | an image | 0.15 |

The rest of the weight, 0.15, is kept for people's feedback. Bounds come from what the stable version did in
the day before the rollout was opened. A check for which that day has fewer than 100 trials counts none of
the canary's, so that it waits.

## When it is rolled back

In a window the canary has a events among n trials, and both versions have e among n + m. If they do not
differ, each choice of e trials is as likely as any other, whatever the hour does to both. Let M(ψ) be the
sum over u of C(n, u) C(m, e − u) ψ^u, divided by C(n + m, e). Then the product of ψ^a / M(ψ) over the
windows is evidence against "no difference" in favour of the odds ratio ψ. A check's evidence is its mean
over ratios from 1.25 to 8, or, where a change in either direction is harm, from 1/3 to 3. The evidence of a
rollout is the weighted mean over its checks. It ever reaches 1/`alpha` with a probability of at most
`alpha`, if the versions do not differ, so one may look at any time ([Ville; Lindon and Malek 2022; Turner
and Grünwald 2023; Vovk and Wang 2021](../decisions/0027-canary-judge.md)).

Pods of one version may differ more than chance allows. From the day before, each stable pod is held against
the others in blocks of half an hour; the mean of the squared, scaled differences is the dispersion, and
each window's evidence is raised to the power 1/dispersion.

With all of the traffic there is nothing left to compare with. Then only a share of errors above 10 %, or
four times that of the day before if that is more, is harm.

## When it goes a step further

Each check must show that its margin holds, with evidence of at least 1/`advance_alpha` in the windows of
the present step. One of two things shows it: the odds ratio is below the margin, or the canary's own share
of events is below the margin's points, because a share below half a point is not half a point worse than
anybody's. For errors and slow answers the margin of the odds ratio is the ratio. For labels and confidence
it is ((1 + points) / (1 - points))², which no change by so many points falls below, whatever the share.
Until then the rollout waits, and past the deadline it is rolled back.

In the dark step, images are sent to both versions, each once. Changes for the worse are compared with
changes for the better, exactly (McNemar), for failures and for each label. The margin of a label is
`label_points`, that of failures 2 points.

## Evidence

Each change is a commit with a file in `evidence/` beside the InferenceService: verdict, reason, counts of
every window, margins, dispersion, and the evidence of each check in natural logarithms.
"""

METRICS_HEAD = """# Metrics

`GET /metrics` gives them to Prometheus on the REST port of `bonafide serve`, and on that of `bonafide api`.
Names are as Prometheus stores them. A histogram has three series, whose names end in `_bucket`, `_sum` and
`_count`. Times are in seconds.

On Linux the Prometheus client adds metrics of the process: `process_resident_memory_bytes`,
`process_cpu_seconds_total`, `process_open_fds` and others.
"""
LABELS = {
    "model": "the task; empty where no model was reached",
    "version": "the version of the model; empty where no model was reached",
    "protocol": "`rest`, `grpc`, `api` (the service API with a model of its own), or `local`",
    "outcome": "how it ended; the metric's meaning lists them",
    "reason": "why; see [Limits and errors](limits-and-errors.md#errors)",
    "stage": "`decode` and `queue` of the request's last image, `infer` of its run, `total` of the request",
    "label": "the most probable one",
    "digest": "the model's SHA-256",
    "architecture": "the architecture of the model, as its package says",
    "route": "the path as the OpenAPI page has it; `none` for others",
    "method": "the HTTP method",
    "status": "the HTTP status; 499 where the client left",
    "by": "`subject` or `address`",
}


def cli_page() -> str:
    """All commands with their arguments and options."""
    sections = (_command_section(path, command) for path, command in commands())
    return "\n".join([CLI_HEAD, *sections])


def commands() -> Iterator[tuple[str, Any]]:
    """Every runnable command with its full name, in the order of ``--help``."""
    yield from _below("bonafide", typer.main.get_command(app))


def _below(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
    for name, child in (children or {}).items():
        yield from _below(f"{path} {name}", child)


def _command_section(path: str, command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    usage = " ".join([path, "[OPTIONS]", *map(_placeholder, arguments)])
    rows = [(f"`{_placeholder(each)}`", _option_default(each), _option_help(each)) for each in arguments]
    rows += [(_option_name(each), _option_default(each), _option_help(each)) for each in options]
    table = _table(("Argument or option", "Default", "Meaning"), rows)
    return f"## {path}\n\n```text\n{usage}\n```\n\n{command.help}\n\n{table}"


def _placeholder(argument: Any) -> str:
    name = (argument.metavar or argument.name.upper()) + ("…" if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _option_name(option: Any) -> str:
    names = " / ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    return f"{names} `{option.metavar}`" if option.metavar else names


def _option_default(option: Any) -> str:
    if option.default not in (None, "", False):
        return f"`{option.default}`"
    return option.help.partition(DEFAULT)[2].removesuffix("]")


def _option_help(option: Any) -> str:
    meaning = option.help.partition(DEFAULT)[0]
    return f"{meaning} Environment: `{option.envvar}`." if option.envvar else meaning


def task_page() -> str:
    """Every key with its values, its default and its meaning."""
    schema = Task.model_json_schema()
    meanings = yaml.safe_load((REFERENCE / "task-keys.yaml").read_text())
    parts = [TASK_HEAD]
    for title, (prefix, section) in _sections(schema).items():
        properties = {
            key: field for key, field in section["properties"].items() if not _is_section(key, schema)
        }
        parts.append(_section(title, section | {"properties": properties}, prefix, meanings.pop(title)))
    flagship = (TASKS / "authenticity.yaml").read_text()
    return "\n".join([*parts, f"## Example\n\n`tasks/authenticity.yaml`:\n\n```yaml\n{flagship}```\n"])


def engines_page() -> str:
    """Every key of both engines' files."""
    meanings = yaml.safe_load((REFERENCE / "engine-keys.yaml").read_text())
    sections: dict[str, Any] = {}
    for model in (Kubeflow, Vertex):
        schema = model.model_json_schema()
        sections |= {model.__name__: schema, **schema["$defs"]}
    told = [_section(title, section, "", meanings.pop(title)) for title, section in sections.items()]
    return "\n".join([ENGINES_HEAD, *told])


def rollout_page() -> str:
    """Every key of ``rollout.yaml``, and how its figures are used."""
    schema = RolloutSettings.model_json_schema()
    meanings = yaml.safe_load((REFERENCE / "rollout-keys.yaml").read_text())
    sections = {"RolloutSettings": schema, **schema["$defs"]}
    prefixes = {"RolloutSettings": "", "Margins": "margins."}
    told = [
        _section(title, section, prefixes[title], meanings.pop(title)) for title, section in sections.items()
    ]
    return "\n".join([ROLLOUT_HEAD, *told])


def _section(title: str, section: dict[str, Any], prefix: str, told: dict[str, str]) -> str:
    about = section["description"].replace("``", "`")
    rows = [
        (f"`{prefix}{key}`", _values(field), *_told(_default(field, key, section), told.pop(key)))
        for key, field in section["properties"].items()
    ]
    if told:
        raise KeyError(f"{title}: no such keys: {sorted(told)}")
    return f"## {title}\n\n{about}\n\n{_table(('Key', 'Value', 'Default', 'Meaning'), rows)}"


def _sections(schema: dict[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """By title the prefix of its keys and its schema."""
    kinds = schema["$defs"]
    sections = {"task": ("", schema)}
    every = OneSource.model_json_schema()
    sections["source"] = ("source.", every)
    for each in (kinds[name] for name in SOURCES):
        own = {key: field for key, field in each["properties"].items() if key not in every["properties"]}
        sections[f"source: {own['kind']['const']}"] = ("source.", each | {"properties": own})
    names = [key for key in schema["properties"] if _is_section(key, schema) and key != "source"]
    return sections | {name: (f"{name}.", kinds[name.capitalize()]) for name in names}


def _is_section(key: str, schema: dict[str, Any]) -> bool:
    return key == "source" or key.capitalize() in schema["$defs"]


def _values(field: dict[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        return _values(field["anyOf"][0])
    if fixed := field.get("enum") or ([field["const"]] if "const" in field else []):
        return ", ".join(f"`{value}`" for value in fixed)
    if field["type"] == "array":
        least = f", {field['minItems']} or more" if "minItems" in field else ""
        return f"list of {_values(field['items'])}{least}"
    if field["type"] == "object":
        return _table_of(field)
    return KINDS[field["type"]] + _limits(field)


def _table_of(field: dict[str, Any]) -> str:
    if value := field.get("additionalProperties"):
        return f"by {'step' if '$ref' in value else 'label'} a {_values(value)}"
    [(pattern, value)] = field["patternProperties"].items()
    return f"by {PATTERNS[pattern]} a {_values(value)}"


def _limits(field: dict[str, Any]) -> str:
    words = {
        "exclusiveMinimum": "above {:g}",
        "exclusiveMaximum": "below {:g}",
        "minimum": "{:g} or more",
        "maximum": "at most {:g}",
        "multipleOf": "a multiple of {:g}",
        "maxLength": "at most {} characters",
        "pattern": PATTERNS[field["pattern"]] if "pattern" in field else "",
    }
    if {"minimum", "maximum"} <= set(field):
        words = {"minimum": "{:g} to " + f"{field['maximum']:,g}", "multipleOf": words["multipleOf"]}
    limits = [text.format(field[name]) for name, text in words.items() if name in field]
    return f", {', '.join(limits)}" if limits else ""


def _default(field: dict[str, Any], key: str, section: dict[str, Any]) -> str:
    if key in section.get("required", ()):
        return "required"
    default = field.get("default")
    empty = "$ref" in field or default in (None, "", [], {})
    return "–" if empty else f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _told(default: str, meaning: str) -> tuple[str, str]:
    if len(default) <= LONGEST_DEFAULT:
        return default, meaning
    return "see right", f"{meaning} Default: {default.strip('`')}"


def metrics_page() -> str:
    """Every metric, every label and every bucket."""
    declared = [metric for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)]
    labels = dict.fromkeys(label for metric in declared for label in metric._labelnames)
    told = [(f"`{label}`", LABELS[label]) for label in labels]
    buckets = [
        (f"`{_stored(metric)}`", ", ".join(f"{bound:g}" for bound in metric._kwargs["buckets"]))
        for metric in declared
        if isinstance(metric, Histogram)
    ]
    return "\n".join(
        [
            METRICS_HEAD,
            _table(("Name", "Type", "Labels", "Meaning"), [_metric_row(metric) for metric in declared]),
            f"## Labels\n\n{_table(('Label', 'Meaning'), told)}",
            f"## Buckets\n\n{_table(('Histogram', 'Upper bounds'), buckets)}",
        ]
    )


def _metric_row(metric: MetricWrapperBase) -> tuple[str, ...]:
    labels = ", ".join(f"`{label}`" for label in metric._labelnames)
    return f"`{_stored(metric)}`", metric._type, labels, metric._documentation


def _stored(metric: MetricWrapperBase) -> str:
    return metric._name + ("_total" if metric._type == "counter" else "")


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


PAGES = {
    "cli.md": cli_page,
    "task.md": task_page,
    "engines.md": engines_page,
    "rollout.md": rollout_page,
    "metrics.md": metrics_page,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        write_text(REFERENCE / name, page())
        sys.stdout.write(f"wrote {REFERENCE / name}\n")
