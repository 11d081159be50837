"""Write the reference pages that follow from the code: ``python docs/generate.py``.

``reference/cli.md`` comes from the ``bonafide`` command, ``reference/task.md`` from the task's schema and the
meanings in ``reference/task-keys.yaml``, ``reference/engines.md`` from the schemas of ``engines/*.yaml`` and
``reference/engine-keys.yaml``, ``reference/rollout.md`` from that of ``rollout.yaml`` and
``reference/rollout-keys.yaml``, ``reference/metrics.md`` from what ``telemetry`` declares and
``reference/metric-labels.yaml``. Each begins with its ``reference/…-head.md``. A test holds the committed
pages against what this makes.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer
import yaml
from prometheus_client.metrics import Histogram, MetricWrapperBase
from pydantic import TypeAdapter

from bonafide.cli.main import app
from bonafide.config import Config
from bonafide.delivery.rollout.settings import RolloutSettings
from bonafide.features import ColumnName
from bonafide.files import write_text
from bonafide.source import OneSource, Source
from bonafide.task import Label, Task, TaskName, WeightsName
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
        ColumnName: "lower-case letters, digits and underscores",
        TaskName: "lower-case letters, digits and inner hyphens",
        WeightsName: "`none`, `imagenet`, or a path that ends in `.safetensors` or `.pth`",
        Variable: "variable",
        FilePath: "path",
        Name: "lower-case letters, digits, inner hyphens and dots",
        Image: "ending with its digest, `@sha256:…`",
        Bucket: "beginning with `gs://`",
        SecretVersion: "`NAME/versions/NUMBER`",
    }.items()
}


def cli_page() -> str:
    """All commands with their arguments and options."""
    sections = (_command_section(path, command) for path, command in commands())
    return "\n".join([_head("cli"), *sections])


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
    annotation = option.type_descriptor.annotation
    if get_origin(annotation) is Literal:
        meaning += f" One of {', '.join(f'`{choice}`' for choice in get_args(annotation))}."
    return f"{meaning} Environment: `{option.envvar}`." if option.envvar else meaning


def task_page() -> str:
    """Every key with its values, its default and its meaning."""
    schema = Task.model_json_schema()
    meanings = _meanings("task-keys")
    parts = [_head("task")]
    for title, (prefix, section) in _sections(schema).items():
        properties = {
            key: field for key, field in section["properties"].items() if not _is_section(key, schema)
        }
        parts.append(_section(title, section | {"properties": properties}, prefix, meanings.pop(title)))
    flagship = (TASKS / "authenticity.yaml").read_text()
    return "\n".join([*parts, f"## Example\n\n`tasks/authenticity.yaml`:\n\n```yaml\n{flagship}```\n"])


def engines_page() -> str:
    """Every key of both engines' files."""
    return _settings_page("engines", "engine-keys", (Kubeflow, Vertex), {})


def rollout_page() -> str:
    """Every key of ``rollout.yaml``, and how its figures are used."""
    return _settings_page("rollout", "rollout-keys", (RolloutSettings,), {"Margins": "margins."})


def _settings_page(page: str, keys: str, models: Iterable[type[Config]], prefixes: dict[str, str]) -> str:
    meanings = _meanings(keys)
    sections: dict[str, Any] = {}
    for model in models:
        schema = model.model_json_schema()
        sections |= {model.__name__: schema, **schema["$defs"]}
    told = [
        _section(title, section, prefixes.get(title, ""), meanings.pop(title))
        for title, section in sections.items()
    ]
    return "\n".join([_head(page), *told])


def _head(page: str) -> str:
    return (REFERENCE / f"{page}-head.md").read_text()


def _meanings(file: str) -> dict[str, Any]:
    return dict(yaml.safe_load((REFERENCE / f"{file}.yaml").read_text()))


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
    sections |= {name: (f"{name}.", kinds[name.capitalize()]) for name in names}
    return sections | {
        "model: table": ("model.", kinds["Estimator"]),
        "feature": ("features.", kinds["Feature"]),
    }


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
    meanings = _meanings("metric-labels")
    told = [(f"`{label}`", meanings[label]) for label in labels]
    buckets = [
        (f"`{_stored(metric)}`", ", ".join(f"{bound:g}" for bound in metric._kwargs["buckets"]))
        for metric in declared
        if isinstance(metric, Histogram)
    ]
    return "\n".join(
        [
            _head("metrics"),
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
