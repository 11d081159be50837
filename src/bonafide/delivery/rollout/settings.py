"""``rollout.yaml``: how a new version takes over in one environment."""

from typing import Annotated

import yaml
from pydantic import Field, model_validator

from bonafide.config import BAD_YAML, Config, parse
from bonafide.errors import ConfigError

SETTINGS = "rollout.yaml"
DARK, ALL = 0, 100
# Of a step at most: each stands in the evidence, which is a file in Git.
MOST_WINDOWS = 10_000

Minutes = Annotated[float, Field(ge=0, le=60 * 24 * 30)]
Percent = Annotated[int, Field(ge=DARK, le=ALL)]
Points = Annotated[float, Field(gt=0, lt=1)]
Half = Annotated[float, Field(gt=0, lt=0.5)]
Ratio = Annotated[float, Field(gt=1, le=100)]


class Margins(Config):
    """How much worse than the stable version a canary may be.

    Of errors and slow answers the larger of both bounds counts: a ratio of shares, or points of a share.
    Without ``confidence_points`` a canary may be as sure or unsure as it likes.
    """

    errors_ratio: Ratio = 2.0
    errors_points: Points = 0.005
    slow_ratio: Ratio = 2.0
    slow_points: Points = 0.05
    label_points: Half = 0.10
    confidence_points: Half | None = 0.10


class RolloutSettings(Config):
    """Steps, waiting times and limits of a rollout.

    ``alpha`` bounds how often a version that does not differ is rolled back, ``advance_alpha`` how often one
    at or past a margin goes a step further.
    """

    steps: Annotated[tuple[Percent, ...], Field(min_length=1)] = (0, 10, 25, 50, 100)
    bake_minutes: Minutes = 10
    warm_up_minutes: Minutes = 2
    ready_minutes: Minutes = 15
    deadline_minutes: Annotated[float, Field(gt=0, le=60 * 24 * 30)] = 60 * 24
    window_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    minimum_requests: Annotated[int, Field(ge=1)] = 200
    replays: Annotated[int, Field(ge=1, le=100_000)] = 1000
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    advance_alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.02
    margins: Margins = Margins()
    paused: bool = False

    @model_validator(mode="after")
    def _climbs(self) -> "RolloutSettings":
        if list(self.steps) != sorted(set(self.steps)) or self.steps[-1] != ALL:
            raise ValueError("steps must climb, and the last must be 100")
        if self.bake_minutes + self.warm_up_minutes >= self.deadline_minutes:
            raise ValueError("deadline_minutes must be more than bake_minutes and warm_up_minutes together")
        if 60 * self.deadline_minutes / self.window_seconds > MOST_WINDOWS:
            raise ValueError(
                f"window_seconds divides deadline_minutes into more than {MOST_WINDOWS:,} windows; raise it"
            )
        return self


def parse_settings(text: str, where: str) -> RolloutSettings:
    """What a ``rollout.yaml`` says.

    Raises:
        ConfigError: it is no valid YAML, has an unknown key or a value out of range.
    """
    try:
        content = yaml.safe_load(text)
    except BAD_YAML as error:
        raise ConfigError(f"{where} is no valid YAML: {error}") from error
    if content is not None and not isinstance(content, dict):
        raise ConfigError(f"{where} must hold a mapping of settings")
    return parse(RolloutSettings, content or {}, where=where)
