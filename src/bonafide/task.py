"""A task is one configuration: labels, source, splits, model, gate. ``tasks/*.yaml`` holds one each."""

import contextlib
import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

import yaml
from pydantic import AfterValidator, Discriminator, Field, Tag, TypeAdapter, model_validator

from bonafide.config import BAD_YAML, Config, Fraction, parse
from bonafide.errors import ConfigError
from bonafide.features import MOST_FEATURES, Feature, repeated
from bonafide.modality import Modality
from bonafide.source import KINDS, MODALITIES, OneOrSeveral, SampleSource, Source

Label = Annotated[str, Field(pattern=r"^\w[\w -]*$", max_length=64)]
TaskName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
WeightsName = Annotated[str, Field(pattern=r"^(none|imagenet|.+\.(safetensors|pth))$")]
DECIDING = 4  # drift detectors that share alpha


def _sentence(text: str) -> str:
    if not re.fullmatch(r"[^a-z\s].*\.", text):
        raise ValueError(
            "write a whole sentence, with a capital letter at the start and a full stop at the end"
        )
    return text


Sentence = Annotated[str, AfterValidator(_sentence)]


class Validation(Config):
    """Limits that a dataset must keep. Distances are Hamming bits of a 64-bit perceptual hash."""

    near_duplicate_distance: Annotated[int, Field(ge=0, le=16)] = 2
    shortcut_limit: Fraction = 0.6
    minimum_per_label: Annotated[int, Field(ge=1)] = 20
    maximum_imbalance: Annotated[float, Field(ge=1)] = 20.0


class Split(Config):
    """Fractions of groups; train gets the rest. Held-out generators reach test only.

    With ``given`` the source's own split is kept.
    """

    val: Fraction = 0.15
    test: Fraction = 0.25
    holdout: Fraction = 0.0
    given: bool = False
    held_out_generators: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _leaves_training_data(self) -> "Split":
        if self.val + self.test + self.holdout >= 1:
            raise ValueError("val + test + holdout must be below 1, or nothing is left to train on")
        if not self.val or not self.test:
            raise ValueError("val and test must be above 0")
        return self


class Model(Config):
    """A network for images, and how it is trained. ``learning_rate`` is the peak of AdamW's cosine schedule.

    ``weights`` are what training begins from: random ones, those published for ImageNet, or a file's.
    ``weights_digest`` makes pipeline caching follow the file; the CLI fills it in. ``certain_precision`` is
    the share of the answers called certain that must be right on validation data.
    """

    architecture: Literal["efficientnet_b0", "efficientnet_lite0", "mobilenet_v3_small", "forensic_cnn"] = (
        "efficientnet_b0"
    )
    weights: WeightsName = "none"
    weights_digest: str = ""
    input_size: Annotated[int, Field(ge=32, le=512)] = 64
    epochs: Annotated[int, Field(ge=1, le=1000)] = 10
    batch_size: Annotated[int, Field(ge=2, le=4096)] = 64
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 3e-4
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-4
    dropout: Fraction = 0.3
    patience: Annotated[int, Field(ge=1)] = 5
    certain_precision: Fraction = 0.95
    augmentation: Literal["traces", "content", "none"] = "traces"
    shuffle_labels: bool = False

    @property
    def weights_file(self) -> Path | None:
        """The file that ``weights`` names, if it names one."""
        return None if self.weights in ("none", "imagenet") else Path(self.weights)

    @property
    def applied(self) -> dict[str, Any]:
        """The settings that training goes by, by name; what ``weights`` were is told with their source."""
        return self.model_dump(exclude={"weights", "weights_digest"})

    @model_validator(mode="after")
    def _was_trained_on_imagenet(self) -> "Model":
        if self.weights == "imagenet" and self.architecture == "forensic_cnn":
            raise ValueError(
                "weights: forensic_cnn has no ImageNet weights; say none, or name a file with weights of it"
            )
        return self


class Estimator(Config):
    """An estimator for tables, with scikit-learn's own names.

    ``c`` is the inverse strength of logistic regression's penalty. ``n_estimators`` and ``max_depth`` are of
    the trees of a forest or of boosting, None being scikit-learn's own depth; ``learning_rate`` is that of
    boosting. ``certain_precision`` is as for networks.
    """

    tuned: ClassVar = {
        "logistic_regression": ("c",),
        "random_forest": ("n_estimators", "max_depth"),
        "gradient_boosting": ("n_estimators", "max_depth", "learning_rate"),
    }
    architecture: Literal["logistic_regression", "random_forest", "gradient_boosting"]
    c: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    n_estimators: Annotated[int, Field(ge=1, le=5000)] = 200
    max_depth: Annotated[int, Field(ge=1, le=64)] | None = None
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    certain_precision: Fraction = 0.95
    shuffle_labels: bool = False

    @property
    def applied(self) -> dict[str, Any]:
        """The settings that training goes by, by name: those of other architectures are left out."""
        own = self.tuned[self.architecture]
        others = {name for names in self.tuned.values() for name in names} - {*own}
        return self.model_dump(exclude=others)


ESTIMATORS = get_args(Estimator.model_fields["architecture"].annotation)
_TAKEN = f"tables take {', '.join(ESTIMATORS)}"


def _network_or_estimator(model: Any) -> str:
    given = model.get("architecture") if isinstance(model, dict) else getattr(model, "architecture", None)
    return "estimator" if given in ESTIMATORS else "network"


AnyModel = Annotated[
    Annotated[Model, Tag("network")] | Annotated[Estimator, Tag("estimator")],
    Discriminator(_network_or_estimator),
]
_MODELS: TypeAdapter[Model | Estimator] = TypeAdapter(AnyModel)


def parse_model(settings: dict[str, Any]) -> Model | Estimator:
    """A task's section ``model``.

    Raises:
        ValidationError: it does not fit.
    """
    return _MODELS.validate_python(settings)


class Evaluation(Config):
    """How metrics are measured. Robustness takes a random part of the test split, where inputs are images."""

    bootstrap_samples: Annotated[int, Field(ge=100, le=100_000)] = 1000
    robustness_images: Annotated[int, Field(ge=1)] = 300


class Gate(Config):
    """Floors and limits a model must keep to be promoted; what has no default is checked only if set.

    ``minimum_groups`` and ``minimum_per_label`` are the fewest groups of the test split, and inputs of a
    label in it, that a model is judged by. Groups count as the number of equal ones that would say as much.
    ``non_inferiority_margin`` is the accuracy that a challenger may lose against the champion, ``robustness``
    the lowest accuracy under any degradation, ``latency_ms`` the median for one input.
    """

    minimum_groups: Annotated[int, Field(ge=1)] = 8
    minimum_per_label: Annotated[int, Field(ge=1)] = 50

    accuracy: Fraction = 0.85
    macro_f1: Fraction = 0.80
    recall: dict[str, Fraction] = {}
    f1: dict[str, Fraction] = {}
    ece: Fraction | None = None
    robustness: Fraction | None = None
    latency_ms: Annotated[float, Field(gt=0)] | None = None
    non_inferiority_margin: Fraction = 0.01


class Drift(Config):
    """When a window of predictions counts as drifted.

    ``alpha`` is the share of windows without drift that may alarm, all detectors together; ``minimum`` the
    fewest distinct inputs that are judged. The maximum mean discrepancy takes at most ``rows`` of the window,
    as many of the reference, and ``permutations``. After ``seconds`` the detectors are given up.
    """

    alpha: Annotated[float, Field(ge=0.008, le=0.2)] = 0.05
    minimum: Annotated[int, Field(ge=50)] = 200
    rows: Annotated[int, Field(ge=100, le=5000)] = 2000
    permutations: Annotated[int, Field(ge=100, le=100_000)] = 1000
    seconds: Annotated[float, Field(gt=0)] = 300

    @model_validator(mode="after")
    def _can_find_anything(self) -> "Drift":
        if (self.permutations + 1) * self.alpha < DECIDING:
            raise ValueError(
                f"permutations: with alpha {self.alpha:g} it takes {DECIDING / self.alpha - 1:.0f} or more, "
                "or no p-value can be small enough"
            )
        return self


class Monitoring(Config):
    """When training begins by itself.

    Drift is looked for among the predictions of the last ``hours``; how well the version in service does is
    measured on those of the last ``quality_hours``, once people confirmed the labels of ``reviews`` inputs.
    Training begins where looks have drifted, where accuracy is below the gate's floor with its interval, and
    where the version is older than ``oldest_days``, if that is not 0. For ``rest_hours`` after it, and where
    nobody confirmed anything new, it does not begin for drift or quality again.
    """

    hours: Annotated[float, Field(gt=0)] = 24
    quality_hours: Annotated[float, Field(gt=0)] = 168
    reviews: Annotated[int, Field(ge=5)] = 50
    rest_hours: Annotated[float, Field(ge=0)] = 24
    oldest_days: Annotated[float, Field(ge=0)] = 0


class Card(Config):
    """What the model card says about a task beside what was measured; every entry is a sentence or more."""

    intended_use: str = ""
    out_of_scope: tuple[str, ...] = ()
    limitations: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class Task(Config):
    """Everything that makes one model differ from another."""

    variants: ClassVar = {"source": KINDS}
    members: ClassVar = {"network": Model, "estimator": Estimator}
    name: TaskName
    title: str
    labels: Annotated[tuple[Label, ...], Field(min_length=2)]
    modality: Modality = "image"
    features: Annotated[tuple[Feature, ...], Field(max_length=MOST_FEATURES)] = ()
    groups: Sentence = "A group is a set of inputs that stay in one split because they are alike."
    seed: Seed = 42
    source: OneOrSeveral = SampleSource()
    validation: Validation = Validation()
    split: Split = Split()
    model: AnyModel = Model()
    evaluation: Evaluation = Evaluation()
    gate: Gate = Gate()
    drift: Drift = Drift()
    monitoring: Monitoring = Monitoring()
    card: Card = Card()

    @property
    def sources(self) -> tuple[Source, ...]:
        """What stands under ``source``, in its order."""
        return self.source if isinstance(self.source, tuple) else (self.source,)

    @model_validator(mode="before")
    @classmethod
    def _has_an_estimator_for_a_table(cls, content: Any) -> Any:
        """Before the model is taken for a network, whose names would be told."""
        told = isinstance(content, dict) and content.get("modality") == "table" and content.get("model")
        if isinstance(told, dict) and (given := told.get("architecture")) not in ESTIMATORS:
            raise ValueError(f"model.architecture: {given!r} does not take a table; {_TAKEN}")
        return content

    @model_validator(mode="after")
    def _is_of_one_modality(self) -> "Task":
        if (self.modality == "table") != bool(self.features):
            raise ValueError("features: a task of modality table names its columns there, and no other does")
        if twice := repeated(self.features):
            raise ValueError(f"features: {twice[0]!r} stands twice")
        if isinstance(self.model, Estimator) != (self.modality == "table"):
            raise ValueError(
                f"model.architecture: {self.model.architecture} does not take a {self.modality}; {_TAKEN}"
            )
        if self.modality == "table" and self.gate.robustness is not None:
            raise ValueError("gate.robustness: rows are not degraded, so there is nothing to check")
        if self.modality == "table" and self.split.held_out_generators:
            raise ValueError("split.held_out_generators: no generator makes rows")
        for source in self.sources:
            if source.kind not in MODALITIES[self.modality]:
                known = ", ".join(MODALITIES[self.modality])
                raise ValueError(f"source.kind: {source.kind} has no {self.modality}s; these have: {known}")
        return self

    @model_validator(mode="after")
    def _names_only_its_labels(self) -> "Task":
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels: each label may stand once")
        for section, names in (("gate.recall", self.gate.recall), ("gate.f1", self.gate.f1)):
            if unknown := set(names) - set(self.labels):
                raise ValueError(f"{section}: {sorted(unknown)} not among the labels {list(self.labels)}")
        return self


def load_task(name: str, overrides: list[str] | None = None) -> Task:
    """Read a task by name or path and apply ``section.key=value`` overrides (values are YAML).

    A name is looked for in ``./tasks`` and then among the tasks that ship with the package.

    Raises:
        ConfigError: no such task, no valid YAML, an unknown key (the nearest valid one is named)
            or a value out of range.
    """
    path = _find(name)
    try:
        content = yaml.safe_load(path.read_text())
    except BAD_YAML as error:
        raise ConfigError(f"{path} is no valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold a mapping of task settings")
    for override in overrides or []:
        _apply(content, override)
    return parse(Task, content, where=str(path))


def task_name(task: str) -> str:
    """The name of a task that is named, known here or not, or lies at a path."""
    return load_task(task).name if task.endswith((".yaml", ".yml")) else task


def _find(name: str) -> Path:
    local = [Path(name)] if name.endswith((".yaml", ".yml")) else [Path("tasks") / f"{name}.yaml"]
    package = Path(str(resources.files("bonafide")))
    shipped = package / "tasks" / f"{name}.yaml"
    checkout = package.parents[1] / "tasks" / f"{name}.yaml"
    for path in (*local, shipped, checkout):
        with contextlib.suppress(OSError):  # a name too long for a file
            if path.is_file():
                return path
    known = sorted(
        {path.stem for folder in (Path("tasks"), shipped.parent) for path in folder.glob("*.yaml")}
    )
    raise ConfigError(f"no task {name!r}: looked for {local[0]}; known tasks: {', '.join(known) or 'none'}")


def _apply(content: dict[str, Any], override: str) -> None:
    dotted, equals, value = override.partition("=")
    if not equals:
        raise ConfigError(f"--set {override!r}: write it as key=value, for example model.epochs=3")
    *sections, key = dotted.strip().split(".")
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise ConfigError(f"--set {override!r}: {section} is a value, not a section")
    try:
        content[key] = yaml.safe_load(value)
    except BAD_YAML as error:
        raise ConfigError(f"--set {override!r}: {value!r} is no valid YAML value") from error
