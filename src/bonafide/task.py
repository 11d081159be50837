"""A task is one configuration: labels, source, splits, model, gate. ``tasks/*.yaml`` holds one each."""

import contextlib
import difflib
import json
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from bonafide.errors import ConfigError, DataError

Fraction = Annotated[float, Field(ge=0, le=1)]
Label = Annotated[str, Field(pattern=r"^\w[\w -]*$", max_length=64)]
TaskName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _sentence(text: str) -> str:
    if not re.fullmatch(r"[^a-z\s].*\.", text):
        raise ValueError(
            "write a whole sentence, with a capital letter at the start and a full stop at the end"
        )
    return text


Sentence = Annotated[str, AfterValidator(_sentence)]

# PyYAML passes on what its constructors for dates, numbers and deep nesting raise.
BAD_YAML = (yaml.YAMLError, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)


class Config(BaseModel):
    """Frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


ConfigType = TypeVar("ConfigType", bound=Config)


class OneSource(Config):
    """One source, or a list of them, which become one dataset in their order.

    Groups of two sources that have the same name are two groups, unless the sources have the same ``groups``.
    """

    groups: Annotated[str, Field(max_length=64)] = ""


class SampleSource(OneSource):
    """The offline sample, built on the spot from photographs inside installed packages."""

    kind: Literal["sample"] = "sample"
    images: Annotated[int, Field(ge=30, le=100_000)] = 3600
    size: Annotated[int, Field(ge=32, le=256, multiple_of=8)] = 64


class FolderSource(OneSource):
    """A folder with one sub-folder for each class, on disk or in a bucket.

    ``digest`` makes pipeline caching follow the content; the CLI fills it in.
    """

    kind: Literal["folder"] = "folder"
    path: str
    labels: dict[str, str] = {}
    name: str = ""
    digest: str = ""


class ParquetSource(OneSource):
    """Parquet files with a column of images, as Hugging Face's datasets have them, on disk or in a bucket.

    ``digest`` makes pipeline caching follow the content; the CLI fills it in.
    """

    kind: Literal["parquet"] = "parquet"
    path: str
    image: str = "image"
    label: str = "label"
    labels: dict[str, str] = {}
    generator: str = ""
    group: str = ""
    name: str = ""
    digest: str = ""


class HuggingFaceSource(OneSource):
    """A dataset on the Hugging Face Hub, at one revision, by its Parquet files.

    ``digest`` is the commit that the revision stood for; the CLI fills it in.
    """

    kind: Literal["huggingface"] = "huggingface"
    dataset: str
    revision: str = "main"
    path: str = ""
    image: str = "image"
    label: str = "label"
    labels: dict[str, str] = {}
    generator: str = ""
    group: str = ""
    name: str = ""
    digest: str = ""


def _how_many(source: Any) -> str:
    return "several" if isinstance(source, list | tuple) else "one"


Source = Annotated[
    SampleSource | FolderSource | ParquetSource | HuggingFaceSource, Field(discriminator="kind")
]
Several = Annotated[tuple[Source, ...], Field(min_length=1)]
OneOrSeveral = Annotated[
    Annotated[Source, Tag("one")] | Annotated[Several, Tag("several")], Discriminator(_how_many)
]
KINDS = {each.model_fields["kind"].default: each for each in get_args(get_args(Source)[0])}


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
    """What is trained and how. ``learning_rate`` is the peak of a cosine schedule of AdamW.

    ``certain_precision`` is the share of the answers called certain that must be right on validation data.
    """

    architecture: Literal["efficientnet_b0", "mobilenet_v3_small", "forensic_cnn"] = "efficientnet_b0"
    input_size: Annotated[int, Field(ge=32, le=512)] = 64
    epochs: Annotated[int, Field(ge=1, le=1000)] = 10
    batch_size: Annotated[int, Field(ge=2, le=4096)] = 64
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 3e-4
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-4
    dropout: Fraction = 0.3
    patience: Annotated[int, Field(ge=1)] = 5
    certain_precision: Fraction = 0.95
    augment: bool = True
    shuffle_labels: bool = False


class Evaluation(Config):
    """How metrics are measured. Robustness takes a random part of the test images."""

    bootstrap_samples: Annotated[int, Field(ge=100, le=100_000)] = 1000
    robustness_images: Annotated[int, Field(ge=1)] = 300


class Gate(Config):
    """Floors and limits a model must keep to be promoted; what has no default is checked only if set.

    ``minimum_groups`` and ``minimum_per_label`` are the fewest groups of test images, and test images of a
    label, that a model is judged by. Groups count as the number of equal ones that would say as much.
    ``non_inferiority_margin`` is the accuracy that a challenger may lose against the champion, ``robustness``
    the lowest accuracy under any degradation, ``latency_ms`` the median for one image.
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


class Card(Config):
    """What the model card says about a task beside what was measured; every entry is a sentence or more."""

    intended_use: str = ""
    out_of_scope: tuple[str, ...] = ()
    limitations: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class Task(Config):
    """Everything that makes one detector differ from another."""

    name: TaskName
    title: str
    labels: Annotated[tuple[Label, ...], Field(min_length=2)]
    modality: Literal["image"] = "image"
    groups: Sentence = "A group is a set of images that stay in one split because they are alike."
    seed: Seed = 42
    source: OneOrSeveral = SampleSource()
    validation: Validation = Validation()
    split: Split = Split()
    model: Model = Model()
    evaluation: Evaluation = Evaluation()
    gate: Gate = Gate()
    card: Card = Card()

    @property
    def sources(self) -> tuple[Source, ...]:
        """What stands under ``source``, in its order."""
        return self.source if isinstance(self.source, tuple) else (self.source,)

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


def parse(kind: type[ConfigType], content: dict[str, Any], where: str) -> ConfigType:
    """Validate ``content``; every problem is one line that names the key and, if unknown, what it could be.

    Raises:
        ConfigError: ``content`` does not fit ``kind``.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        lines = [_explain(kind, problem) for problem in error.errors()]
        raise ConfigError(f"{where}: " + "; ".join(lines)) from None


def read(kind: type[ConfigType], path: Path, step: str) -> ConfigType:
    """What a step wrote to ``path`` as JSON.

    Args:
        step: its name, for the message.

    Raises:
        DataError: it is not there, or was written by something else.
    """
    try:
        return parse(kind, json.loads(path.read_text()), where=str(path))
    except OSError as error:
        raise DataError(f"{path.parent} holds no {path.name}; run the {step} step first") from error
    except (ValueError, TypeError, ConfigError) as error:
        raise DataError(f"{path} was not written by Bonafide, or was changed since: {error}") from error


def parse_sources(content: list[dict[str, Any]]) -> tuple[Source, ...]:
    """The sources that ``content`` describes; the ``kind`` of each says which it is.

    Raises:
        ValidationError: none, no such kind, or settings that do not fit it.
    """
    sources: tuple[Source, ...] = TypeAdapter(Several).validate_python(content)
    return sources


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


def _explain(kind: type[BaseModel], problem: Any) -> str:
    section, *path = problem["loc"] or [""]
    own = None
    if section == "source" and path:
        path, own = _within_source(path)
    dotted = ".".join(map(str, (section, *path)))
    if problem["type"] != "extra_forbidden":
        return f"{dotted}: {problem['msg']}" if dotted else str(problem["msg"])
    if own:
        keys = ", ".join(KINDS[own].model_fields)
        return f"unknown key {dotted!r}; a source of kind {own} has {keys}"
    nearest = difflib.get_close_matches(dotted, _keys(kind), n=1, cutoff=0)
    return f"unknown key {dotted!r}; did you mean {nearest[0]!r}?"


def _within_source(path: list[Any]) -> tuple[list[Any], str | None]:
    """Which of several and which key, without the names of the unions' members; and the source's kind."""
    which = [part for part in path[1:2] if isinstance(part, int)]
    kind, *key = path[1 + len(which) :] or [None]
    return [*which, *key], kind


def _keys(kind: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, field in kind.model_fields.items():
        keys.append(prefix + name)
        for section in _sections(field.annotation):
            keys += _keys(section, f"{prefix}{name}.")
    return keys


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)
