"""Settings of one engine: ``engines/*.yaml``, which a person edits. An unknown key is refused."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, model_validator

from bonafide.config import BAD_YAML, Config, parse
from bonafide.errors import ConfigError
from bonafide.home import DELIVERY, PUBLIC_KEY, REGISTRY, SIGNING_KEY, STORE, is_remote
from bonafide.secrets import ADDRESS

Variable = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*$")]
Image = Annotated[str, Field(pattern=r"^[^\s@]+@sha256:[0-9a-f]{64}$")]
Bucket = Annotated[str, Field(pattern=r"^gs://.+")]
FilePath = Annotated[str, Field(pattern=r"^/.+")]
# Of the run's own project, or with its whole name.
SecretVersion = Annotated[
    str, Field(pattern=r"^(projects/[^/]+(/locations/[^/]+)?/secrets/)?[\w-]+/versions/([1-9]\d*|latest)$")
]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]


def _plain(value: str) -> str:
    """At http a user's name may be a token."""
    if re.search(r"https?://[^/?#]*@|://[^/@:]*:[^/@]+@|pin-value=", value, re.IGNORECASE):
        raise ValueError("this file is no place for a user, password or PIN; keep the value in a secret")
    return value


# What each step reads from its environment, so that a run cannot fail late for want of it.
NEEDS = {
    "champion": (REGISTRY, DELIVERY, SIGNING_KEY),
    "split": (REGISTRY,),
    "train": (REGISTRY,),
    "compare": (REGISTRY, SIGNING_KEY),
    "export": (SIGNING_KEY,),
    "register": (REGISTRY, SIGNING_KEY),
    "promote": (REGISTRY, DELIVERY),
    "fetch": (REGISTRY,),
    "score": (SIGNING_KEY,),
    "drift-check": (SIGNING_KEY,),
    "report": (REGISTRY,),
}
STORED = ("collect", "decide", "ingest")  # read or write the store, where there is one
DETECTS = "drift-check"  # in an environment that only its own image has
INSTEAD = {SIGNING_KEY: PUBLIC_KEY}  # where a step only verifies
SIGNS = ("champion", "export")
DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
SECRET = re.compile("SECRET|TOKEN|PASSWORD|CREDENTIAL|PRIVATE")
Plain = Annotated[str, AfterValidator(_plain)]


def _without_secrets(environment: dict[str, str]) -> dict[str, str]:
    for name, value in environment.items():
        named = SECRET.search(name) and name != ADDRESS and not value.startswith("/")
        if named or value.lower().startswith("authorization:"):
            raise ValueError(f"{name} looks like a secret, for which this file is no place")
    return environment


class Step(Config):
    """What the container of a step gets. ``cpu`` (cores) and ``memory`` (GiB) are limits and requests.

    ``image`` is one of its own, in place of the pipeline's. ``retries`` is how often a failed step begins
    again, for whatever reason it failed; it waits half a minute, then twice as long each time.
    """

    environment: Annotated[dict[Variable, Plain], AfterValidator(_without_secrets)] = Field(
        default_factory=dict
    )
    cpu: Annotated[float, Field(gt=0)] | None = None
    memory: Annotated[float, Field(gt=0)] | None = None
    accelerator: str = ""
    accelerators: Annotated[int, Field(ge=1)] = 1
    image: Image | None = None
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
    mounts: dict[FilePath, Name] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    timeout_minutes: Annotated[int, Field(ge=1)] | None = None


class Kubeflow(Config):
    """Kubeflow Pipelines: where it answers, and what its pods get.

    ``host`` is by default that of the cluster that this runs in; ``link`` is where people look, if elsewhere.
    """

    engine: Literal["kubeflow"]
    host: Plain = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
    link: Plain = ""
    namespace: Name
    service_account: Name
    image: Image
    every_step: KubeflowStep = KubeflowStep()
    steps: dict[str, KubeflowStep] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _places(self) -> "Kubeflow":
        _refuse_unnamed(self)
        return self


class VertexStep(Step):
    """``secrets`` become variables, ``files`` files: each from a version in Secret Manager.

    A version is ``NAME/versions/NUMBER``, or ``latest`` for the number. A secret of another project is named
    ``projects/PROJECT/secrets/NAME``, one in one region only
    ``projects/PROJECT/locations/REGION/secrets/NAME``.
    """

    secrets: dict[Variable, SecretVersion] = Field(default_factory=dict)
    files: dict[FilePath, SecretVersion] = Field(default_factory=dict)


class Vertex(Config):
    """Vertex AI Pipelines. ``endpoint`` is another address than the region's own, such as a private one."""

    engine: Literal["vertex"]
    project: str
    location: str
    endpoint: Plain = ""
    bucket: Bucket
    service_account: str
    image: Image
    every_step: VertexStep = VertexStep()
    steps: dict[str, VertexStep] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _places(self) -> "Vertex":
        _refuse_unnamed(self)
        for image in (self.image, *(step.image for step in (self.every_step, *self.steps.values()))):
            host = (image or "").partition("/")[0]
            if not host.endswith(".pkg.dev") and host not in DOCKER_HUB and set(".:") & set(host):
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


def has_store(settings: Kubeflow | Vertex) -> bool:
    """Whether the monitoring pipeline can run: what it reads is in a store that its steps know."""
    return any(STORE in _named(step_of(settings, name)) for name in STORED)


def _named(step: Any) -> set[str]:
    return {*step.environment, *getattr(step, "secrets", ()), *getattr(step, "config", ())}


def _refuse_unnamed(settings: Kubeflow | Vertex) -> None:
    """What runs share must be named where it is needed, and lie where all steps reach it."""
    if has_store(settings):
        _refuse_unwatched(settings)
    for name, places in NEEDS.items():
        step = step_of(settings, name)
        named = _named(step)
        for place in places:
            enough = {place} if name in SIGNS or place not in INSTEAD else {place, INSTEAD[place]}
            if not enough & named:
                raise ValueError(
                    f"{name} has no {place}; name it in every_step.environment: it outlives a step"
                )
        if not is_remote(step.environment.get(DELIVERY, "https://")):
            raise ValueError(f"{DELIVERY} must be an address that Git pushes to; pods share no folder")
        if step.environment.get(REGISTRY, "").startswith("sqlite"):
            raise ValueError(f"{REGISTRY} must be a server; pods share no file")


def _refuse_unwatched(settings: Kubeflow | Vertex) -> None:
    for name in STORED:
        step = step_of(settings, name)
        if not step.environment.get(STORE, "postgresql").startswith("postgresql"):
            raise ValueError(f"{STORE} must be a PostgreSQL; pods share no file")
        if STORE not in _named(step):
            raise ValueError(f"{name} has no {STORE}, which other steps have; name it in every_step")
    if not step_of(settings, DETECTS).image:
        raise ValueError(f"steps: {DETECTS} needs an image of its own, the drift image; name it there")


def _over(before: Any, value: Any) -> Any:
    return {**before, **value} if isinstance(before, Mapping) and isinstance(value, Mapping) else value
