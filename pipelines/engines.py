"""Settings of one engine: ``engines/*.yaml``, which a person edits. An unknown key is refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, model_validator

from bonafide.errors import ConfigError
from bonafide.home import DELIVERY, REGISTRY, SIGNING_KEY, without_secrets
from bonafide.task import BAD_YAML, Config, parse

Variable = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")]
Image = Annotated[str, Field(pattern=r"^[^\s@]+@sha256:[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]


def _plain(value: str) -> str:
    if without_secrets(value) != value:
        raise ValueError("this file is no place for a password or PIN; keep the value in a secret")
    return value


FIRST_STEP = "champion"
Plain = Annotated[str, AfterValidator(_plain)]


class Step(Config):
    """What the container of a step gets. ``cpu`` (cores) and ``memory`` (GiB) are limits and requests.

    ``retries`` is how often a step that failed begins again, for whatever reason it failed.
    """

    environment: dict[Variable, Plain] = Field(default_factory=dict)
    cpu: Annotated[float, Field(gt=0)] | None = None
    memory: Annotated[float, Field(gt=0)] | None = None
    accelerator: str = ""
    accelerators: Annotated[int, Field(ge=1)] = 1
    retries: Annotated[int, Field(ge=0, le=10)] = 0


class Key(Config):
    """A key of a Kubernetes Secret or ConfigMap."""

    name: Name
    key: str


class Toleration(Config):
    """As Kubernetes has it."""

    key: str | None = None
    operator: Literal["Equal", "Exists"] = "Equal"
    value: str | None = None
    effect: Literal["NoExecute", "NoSchedule", "PreferNoSchedule"] | None = None


class KubeflowStep(Step):
    """``secrets`` and ``config`` become variables, ``mounts`` folders with a file a key of a Secret."""

    secrets: dict[Variable, Key] = Field(default_factory=dict)
    config: dict[Variable, Key] = Field(default_factory=dict)
    mounts: dict[Annotated[str, Field(pattern=r"^/.+")], Name] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    timeout_minutes: Annotated[int, Field(ge=1)] | None = None


class Kubeflow(Config):
    """Kubeflow Pipelines: where it answers, and what its pods get.

    Without ``host`` it is the cluster that this runs in; ``link`` is where people look, if elsewhere.
    """

    engine: Literal["kubeflow"]
    host: str = ""
    link: str = ""
    namespace: Name
    service_account: Name
    image: Image
    every_step: KubeflowStep = KubeflowStep()
    steps: dict[str, KubeflowStep] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _places(self) -> "Kubeflow":
        _refuse_unnamed(self)
        return self


class Vertex(Config):
    """Vertex AI Pipelines. ``endpoint`` is another address than the region's own, such as a private one."""

    engine: Literal["vertex"]
    project: str
    location: str
    endpoint: str = ""
    bucket: Annotated[str, Field(pattern=r"^gs://.+")]
    service_account: str
    image: Image
    every_step: Step = Step()
    steps: dict[str, Step] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _places(self) -> "Vertex":
        _refuse_unnamed(self)
        host = self.image.partition("/")[0]
        if not host.endswith((".pkg.dev", ".docker.io")) and "." in host:
            raise ValueError(
                f"image: Vertex AI takes images from Artifact Registry or Docker Hub, not {host}"
            )
        return self


def load(path: Path) -> Kubeflow | Vertex:
    """The settings in a file.

    Raises:
        ConfigError: it cannot be read, or holds what is no setting.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; copy engines/kubeflow.example.yaml or engines/vertex.example.yaml "
            "and edit it"
        ) from error
    except BAD_YAML as error:
        raise ConfigError(f"{path} is no valid YAML: {error}") from error
    kinds: dict[Any, type[Kubeflow | Vertex]] = {"kubeflow": Kubeflow, "vertex": Vertex}
    named = content.get("engine") if isinstance(content, dict) else None
    if named not in kinds:
        raise ConfigError(f"{path}: engine is {named!r}; write engine: kubeflow or engine: vertex")
    return parse(kinds[named], content, where=str(path))


def step_of(settings: Kubeflow | Vertex, name: str) -> Any:
    """The settings of one step: those of every step, and its own over them; tables are put together."""
    every = settings.every_step.model_dump(exclude_unset=True)
    own = settings.steps[name].model_dump(exclude_unset=True) if name in settings.steps else {}
    merged = every | {key: _over(every.get(key), value) for key, value in own.items()}
    return type(settings.every_step).model_validate(merged)


def _refuse_unnamed(settings: Kubeflow | Vertex) -> None:
    """What runs share must be named, or the first step refuses to go on."""
    first = step_of(settings, FIRST_STEP)
    named = {*first.environment, *getattr(first, "secrets", ()), *getattr(first, "config", ())}
    if absent := [place for place in (REGISTRY, DELIVERY, SIGNING_KEY) if place not in named]:
        raise ValueError(f"every_step.environment: name {', '.join(absent)}, which outlive a step")


def _over(before: Any, value: Any) -> Any:
    return {**before, **value} if isinstance(before, Mapping) and isinstance(value, Mapping) else value
