"""What simulated traffic asks about, by label, in a mix that may change."""

import math
from collections.abc import Iterable, Mapping
from random import Random
from typing import Generic, Protocol, TypeVar

from bonafide.errors import ConfigError
from bonafide.serving.sent import Sent
from bonafide.traffic.drift import Drift

Item = TypeVar("Item")
Chosen = TypeVar("Chosen", bound="Input")


class Input(Protocol):
    """One that is asked about, and how strong the drift is then."""

    @property
    def folder(self) -> str:
        """Where it is from."""

    @property
    def name(self) -> str:
        """What it is called there."""

    @property
    def label(self) -> str:
        """What it is; empty where nobody says."""

    @property
    def strength(self) -> float:
        """Of the drift."""


class Inputs(Protocol[Chosen]):
    """Images or rows."""

    drift: Drift

    @property
    def labels(self) -> set[str]:
        """Of all of them."""

    def choose(self, random: Random, passed: float = 0.0) -> Chosen:
        """One of them, when that share of the time has passed."""

    def sent(self, chosen: Chosen) -> Sent:
        """What is sent, changed as the drift says.

        Raises:
            ImageError: it cannot be read any more.
        """


class Pools(Generic[Item]):
    """Items by label; ``items`` come with theirs.

    Attributes:
        pools: by label; those without one are under an empty name.
        shares: of each label.
    """

    def __init__(self, where: str, noun: str, items: Iterable[tuple[str, Item]]) -> None:
        self.where = where
        self._noun = noun
        self.pools = dict[str, list[Item]]()
        for label, item in items:
            self.pools.setdefault(label, []).append(item)
        count = sum(map(len, self.pools.values()))
        self.shares = {label: len(pool) / count for label, pool in self.pools.items()}

    def check(self, labels: Iterable[str]) -> None:
        """Refuse a mix of labels that are not there.

        Raises:
            ConfigError: one is not.
        """
        if missing := [label for label in labels if label not in self.pools]:
            there = ", ".join(sorted({*self.pools} - {""})) or "none"
            raise ConfigError(
                f"{self.where} has no {self._noun} of {', '.join(missing)}; its labels are: {there}"
            )

    def choose(self, random: Random, mix: Mapping[str, float]) -> Item:
        """One, whose label is drawn first."""
        [label] = random.choices(list(mix), list(mix.values()))
        return random.choice(self.pools[label])


def read_mix(text: str) -> dict[str, float]:
    """``real=0.7,ai-generated=0.3`` as shares by label.

    Raises:
        ConfigError: it is written otherwise, or the shares are not 1 in sum.
    """
    mix = read_numbers(text, "mix", "real=0.7,ai-generated=0.3")
    if mix and not (min(mix.values()) >= 0 and abs(sum(mix.values()) - 1) < 1e-6):
        raise ConfigError(f"the shares of {text!r} are to be 0 or more, and 1 in sum")
    return mix


def read_numbers(text: str, what: str, example: str) -> dict[str, float]:
    """``a=1,b=-0.5`` as numbers by name.

    Raises:
        ConfigError: it is written otherwise.
    """
    try:
        pairs = [part.split("=") for part in text.split(",") if part]
        numbers = {name.strip(): float(number) for name, number in pairs}
    except ValueError as error:
        raise ConfigError(f"{text!r} is no {what}; write it as {example}") from error
    if not all(map(math.isfinite, numbers.values())):
        raise ConfigError(f"{text!r} is no {what}; write it as {example}")
    return numbers
