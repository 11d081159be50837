"""Columns of a table that a model takes: named numbers, each with its unit and its range."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, model_validator

from bonafide.config import Config

LARGEST = 3.4028234663852886e38  # of 32 bits
MOST_FEATURES = 255
RESERVED = "columns"  # the tensor of all of them
Bound = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
ColumnName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]


class Feature(Config):
    """A column of numbers.

    A value below ``low`` or above ``high`` is refused, in training data as in questions. ``whole`` columns
    hold whole numbers only. ``unit`` is for people.
    """

    name: ColumnName
    unit: Annotated[str, Field(max_length=32)] = ""
    low: Bound | None = None
    high: Bound | None = None
    whole: bool = False

    @model_validator(mode="after")
    def _has_a_range(self) -> "Feature":
        if self.name == RESERVED:
            raise ValueError(f"a column cannot be called {RESERVED!r}: that is what all of them are called")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"{self.name}: low must be below high, got {self.low:g} and {self.high:g}")
        return self

    @property
    def told(self) -> str:
        """For people, e.g. ``sepal_length (cm, 0.1 to 10)``."""
        facts = ", ".join(filter(None, (self.unit, self._range, "whole" * self.whole)))
        return f"{self.name} ({facts})" if facts else self.name

    @property
    def _range(self) -> str:
        match (self.low, self.high):
            case (None, None):
                return ""
            case (low, None):
                return f"{low:g} or more"
            case (None, high):
                return f"{high:g} or less"
            case (low, high):
                return f"{low:g} to {high:g}"

    def problem(self, value: float) -> str:
        """Why a value does not fit, for people; empty if it does."""
        if value != value or value in (float("inf"), float("-inf")):
            return "must be a finite number"
        if self.low is not None and value < self.low:
            return f"must be {self.low:g} or more, got {value:g}"
        if self.high is not None and value > self.high:
            return f"must be {self.high:g} or less, got {value:g}"
        if self.whole and value != int(value):
            return f"must be a whole number, got {value:g}"
        return ""


_FEATURES: TypeAdapter[tuple[Feature, ...]] = TypeAdapter(tuple[Feature, ...])


def parse_features(content: list[dict[str, Any]]) -> tuple[Feature, ...]:
    """A task's ``features``.

    Raises:
        ValidationError: one does not fit.
    """
    return _FEATURES.validate_python(content)


def repeated(features: Iterable[Feature]) -> list[str]:
    """Names that stand more than once."""
    names = [feature.name for feature in features]
    return sorted({name for name in names if names.count(name) > 1})
