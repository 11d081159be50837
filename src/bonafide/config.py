"""What every configuration shares: it is frozen, and a mistake in it is explained."""

import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bonafide.errors import ConfigError, DataError

Fraction = Annotated[float, Field(ge=0, le=1)]

# PyYAML passes on what its constructors for dates, numbers and deep nesting raise.
BAD_YAML = (yaml.YAMLError, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)


class Config(BaseModel):
    """Frozen; an unknown key is an error.

    ``variants`` are, by the key that holds one or several, the models that their ``kind`` tells apart.
    ``members`` are those of other unions by pydantic's names for them, which stand in no file.
    """

    variants: ClassVar[Mapping[str, Mapping[str, type[BaseModel]]]] = {}
    members: ClassVar[Mapping[str, type[BaseModel]]] = {}
    model_config = ConfigDict(frozen=True, extra="forbid")


ConfigType = TypeVar("ConfigType", bound=Config)


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


def _explain(kind: type[Config], problem: Any) -> str:
    section, *path = [part for part in problem["loc"] if part not in kind.members] or [""]
    variants, variant = kind.variants.get(section, {}), None
    if variants and path:
        path, variant = _within(path)
    dotted = ".".join(map(str, (section, *path)))
    if problem["type"] != "extra_forbidden":
        why = str(problem["msg"]).removeprefix("Value error, ")
        return f"{dotted}: {why}" if dotted else why
    if variant:
        keys = ", ".join(variants[variant].model_fields)
        return f"unknown key {dotted!r}; a {section} of kind {variant} has {keys}"
    member = next((kind.members[part] for part in problem["loc"] if part in kind.members), None)
    known = [f"{section}.{key}" for key in member.model_fields] if member else _keys(kind)
    nearest = difflib.get_close_matches(dotted, known, n=1, cutoff=0)
    return f"unknown key {dotted!r}; did you mean {nearest[0]!r}?"


def _within(path: list[Any]) -> tuple[list[Any], str | None]:
    """Which of several and which key, without the names of the unions' members; and the variant's kind."""
    which = [part for part in path[1:2] if isinstance(part, int)]
    variant, *key = path[1 + len(which) :] or [None]
    return [*which, *key], variant


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
