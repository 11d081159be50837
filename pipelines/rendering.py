"""The compiled pipeline with an engine's settings in it: what is submitted.

Kubeflow Pipelines takes what is Kubernetes' own from a second document; Vertex AI takes one document only.
"""

import difflib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from bonafide.errors import ConfigError
from bonafide.home import STORE
from pipelines.compilation import COMPILED, PIPELINES
from pipelines.engines import (
    DETECTS,
    Kubeflow,
    KubeflowStep,
    Step,
    Vertex,
    VertexStep,
    has_store,
    load,
    step_of,
)

EXECUTOR = "exec-"
READS_THE_SOURCE, READS_THE_STORE = "ingest", "monitoring"
GIB_IN_GB = 2**30 / 1e9
BACK_OFF = {"backoffDuration": "30s", "backoffFactor": 2.0, "backoffMaxDuration": "3600s"}
EXAMPLES = Path(__file__).parents[1] / "engines"


def render(name: str, settings: Kubeflow | Vertex, fresh: bool = False) -> list[dict[str, Any]]:
    """The documents to submit for the pipeline of that name.

    Args:
        fresh: read the source anew, and not from the engine's cache.

    Raises:
        ConfigError: the settings name a step that no pipeline has, or lack what the pipeline reads.
    """
    if name == READS_THE_STORE and not has_store(settings):
        raise ConfigError(f"{name} reads predictions: name {STORE} in every_step, and the image of {DETECTS}")
    specification = _compiled(name)
    _refuse_unknown(settings)
    executors = specification["deploymentSpec"]["executors"]
    kubernetes = {}
    for executor, content in executors.items():
        step = step_of(settings, executor.removeprefix(EXECUTOR))
        _patch(content["container"], step.image or settings.image, step)
        if isinstance(settings, Vertex):
            _fetch_secrets(content["container"], step, settings.project)
        elif found := _kubernetes(step):
            kubernetes[executor] = found
    for task_name, task in _tasks(specification):
        _set_retries(task_name, task, settings)
        if fresh and task_name == READS_THE_SOURCE:
            task["cachingOptions"] = {}
    if not kubernetes:
        return [specification]
    return [specification, {"platforms": {"kubernetes": {"deploymentSpec": {"executors": kubernetes}}}}]


def to_yaml(documents: list[dict[str, Any]]) -> str:
    """As kfp's client reads them."""
    return "---\n".join(yaml.safe_dump(document, sort_keys=True) for document in documents)


def is_known(arguments: Mapping[str, Any]) -> bool:
    """Whether a pipeline's arguments tell what is in its sources, so that a cache may answer for them."""
    sources = arguments.get("sources", [])
    return all(source["kind"] == "sample" or source["digest"] for source in sources)


def examples() -> dict[Path, str]:
    """What would be submitted with the settings of ``engines/*.example.yaml``, by the file that keeps it."""
    return {
        COMPILED / path.name.removesuffix(".example.yaml") / f"{name}.yaml": to_yaml(render(name, load(path)))
        for path in sorted(EXAMPLES.glob("*.example.yaml"))
        for name in PIPELINES
    }


@cache
def all_steps() -> frozenset[str]:
    """The names of the steps of all pipelines."""
    executors = (_compiled(name)["deploymentSpec"]["executors"] for name in PIPELINES)
    return frozenset(executor.removeprefix(EXECUTOR) for each in executors for executor in each)


def _compiled(name: str) -> dict[str, Any]:
    text = (COMPILED / f"{name}.yaml").read_text()
    content: dict[str, Any] = yaml.load(text, Loader=yaml.CSafeLoader)
    return content


def _refuse_unknown(settings: Kubeflow | Vertex) -> None:
    known = all_steps()
    for name in settings.steps:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0)
            raise ConfigError(f"steps: no pipeline has a step {name!r}; did you mean {near[0]!r}?")


def _patch(container: dict[str, Any], image: str, step: Step) -> None:
    container["image"] = image
    resources = container.setdefault("resources", {})
    if step.environment:
        container["env"] = [
            {"name": name, "value": value} for name, value in sorted(step.environment.items())
        ]
    if step.cpu:
        resources |= {f"cpu{kind}": step.cpu for kind in ("Limit", "Request")}
        resources |= {f"resourceCpu{kind}": f"{step.cpu:g}" for kind in ("Limit", "Request")}
    if step.memory:
        resources |= {f"memory{kind}": step.memory * GIB_IN_GB for kind in ("Limit", "Request")}
        resources |= {f"resourceMemory{kind}": f"{step.memory:g}Gi" for kind in ("Limit", "Request")}
    if step.accelerator:
        count = str(step.accelerators)
        resources["accelerator"] = {
            "count": count,
            "resourceCount": count,
            "resourceType": step.accelerator,
            "type": step.accelerator,
        }
    container["resources"] = resources


def _fetch_secrets(container: dict[str, Any], step: VertexStep, project: str) -> None:
    """Vertex AI mounts no secrets: the step itself asks for them, by name, and then begins."""
    wanted = {**step.secrets, **step.files}
    named = [
        f"{target}={version if '/secrets/' in version else f'projects/{project}/secrets/{version}'}"
        for target, version in sorted(wanted.items())
    ]
    if named:
        container["command"] = ["python3", "-m", "bonafide.secrets", *named, "--", *container["command"]]


def _tasks(specification: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The steps, in whatever group they are."""
    known = all_steps()
    for graph in (specification["root"], *specification["components"].values()):
        tasks = graph.get("dag", {}).get("tasks", {})
        yield from ((name, task) for name, task in tasks.items() if name in known)


def _set_retries(name: str, task: dict[str, Any], settings: Kubeflow | Vertex) -> None:
    """Steps that the pipeline itself repeats keep their own way."""
    retries = step_of(settings, name).retries
    if retries and "retryPolicy" not in task:
        task["retryPolicy"] = {"maxRetryCount": retries, **BACK_OFF}


def _kubernetes(step: KubeflowStep) -> dict[str, Any]:
    """Written by kfp-kubernetes' own functions, which ask for no more than a place to write to."""
    from kfp import kubernetes

    task: Any = SimpleNamespace(platform_config={})
    for variable, found in sorted(step.secrets.items()):
        kubernetes.use_secret_as_env(task, found.name, {found.key: variable})
    for variable, found in sorted(step.config.items()):
        kubernetes.use_config_map_as_env(task, found.name, {found.key: variable})
    for path, secret in sorted(step.mounts.items()):
        kubernetes.use_secret_as_volume(task, secret, path)
    for toleration in step.tolerations:
        kubernetes.add_toleration(task, **toleration.model_dump())
    if step.timeout_minutes:
        kubernetes.set_timeout(task, 60 * step.timeout_minutes)
    return dict(task.platform_config.get("kubernetes", {}))
