"""The dark step: the same requests go to both versions, and only the judge sees the canary's answers."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from bonafide.batch.listing import SUFFIXES
from bonafide.delivery.manifests import predictor_name
from bonafide.delivery.rollout.checks import ERRORS, LABELS
from bonafide.delivery.rollout.decide import Finding, Rollout
from bonafide.delivery.rollout.evidence import one_sided, paired, paired_margin
from bonafide.errors import ConfigError
from bonafide.serving.client import Client
from bonafide.serving.errors import Overloaded, RequestError
from bonafide.serving.sent import Sent
from bonafide.traffic.rows import read_table

Read = Callable[[], Sent]
PREDICTOR, TAG = "{predictor}", "{tag}"
STABLE_TAG, CANARY_TAG = "prev", "latest"  # as KServe names two revisions in Knative mode
AT_ONCE, SEED = 4, 0
# Of all replays; those of a rare failure are too few to show less.
FAILURE_POINTS = 0.02


@dataclass(frozen=True)
class Replay:
    """What both versions answered to one request: a label, or None for no answer."""

    stable: str | None
    canary: str | None


@dataclass(frozen=True)
class Replayer:
    """Asks both predictors of a service about the same images or rows.

    Args:
        url: of a predictor, with ``{predictor}`` where its name belongs, or ``{tag}`` for the tag of its
            revision; without them the front that divides the traffic, which takes the name from a header.
        inputs: a folder of images, or a file of rows as of :func:`bonafide.traffic.rows.read_table`. Each is
            asked about once: a second time would tell nothing new.
    """

    url: str
    inputs: Path

    def replay(self, task: str, rollout: Rollout) -> list[Replay]:
        """Answers until the stable version gave ``rollout.settings.replays``, or to all inputs.

        Raises:
            ConfigError: there are fewer, or another version answers.
        """
        found = _chosen(self.inputs, rollout.settings.replays)
        return asyncio.run(self._ask(task, rollout, found))

    async def _ask(self, task: str, rollout: Rollout, found: Sequence[Read]) -> list[Replay]:
        stable = _Arm(self.url, task, rollout.stable, STABLE_TAG)
        canary = _Arm(self.url, task, rollout.canary, CANARY_TAG)
        inputs, replays, answered = iter(found), list[Replay](), 0

        async def take() -> None:
            nonlocal answered
            while answered < rollout.settings.replays and (read := next(inputs, None)):
                sent = read()
                answers = await asyncio.gather(stable.label(sent), canary.label(sent))
                replays.append(Replay(*answers))
                answered += answers[0] is not None

        try:
            await asyncio.gather(*(take() for _ in range(AT_ONCE)))
        finally:
            await asyncio.gather(stable.client.close(), canary.client.close())
        return replays


def _chosen(inputs: Path, wanted: int) -> list[Read]:
    """All of them in a random order, always the same: files are often sorted by what they hold."""
    found = _rows(inputs) if inputs.is_file() else _images(inputs)
    if len(found) < wanted:
        raise ConfigError(
            f"{inputs} holds {len(found):,} to ask about, and rollout.yaml asks for {wanted:,} replays; "
            "add some, or lower replays"
        )
    Random(SEED).shuffle(found)  # noqa: S311  (nothing secret)
    return found


def _images(folder: Path) -> list[Read]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return [partial(_image, path) for path in found]


def _image(path: Path) -> Sent:
    return [path.read_bytes()]


def _rows(file: Path) -> list[Read]:
    table = read_table(file)
    return [partial(table.row, number) for number in range(len(table.labels))]


def findings(replays: Sequence[Replay], points: float) -> list[Finding]:
    """Whether replays changed for the worse: failures, and each label one way or the other.

    What neither version answered says nothing, and what the stable version did not is no trial.

    Args:
        points: the margin of a label's share.
    """
    told = [each for each in replays if each != Replay(None, None)]
    trials = sum(each.stable is not None for each in told)
    labels = sorted({label for each in told for label in (each.stable, each.canary) if label is not None})
    more, less, same = _changes(told, None)
    safe = paired_margin(more, less, same, FAILURE_POINTS)
    return [
        Finding("errors", one_sided(more, less), safe, ERRORS, trials),
        *(_shift(label, _changes(told, label), points, LABELS / len(labels), trials) for label in labels),
    ]


def _shift(label: str, changes: tuple[int, int, int], points: float, weight: float, trials: int) -> Finding:
    more, less, same = changes
    safe = min(paired_margin(more, less, same, points), paired_margin(less, more, same, points))
    return Finding(f"label {label}", paired(more, less), safe, weight, trials)


def summary(replays: Sequence[Replay]) -> dict[str, Any]:
    """The answers counted, and the share that differ with its exact interval (Clopper and Pearson 1934)."""
    from scipy.stats import binomtest

    differ = sum(each.stable != each.canary for each in replays)
    low, high = binomtest(differ, len(replays)).proportion_ci(method="exact")
    counts = Counter((each.stable, each.canary) for each in replays)
    return {
        "requests": len(replays),
        "differ": {"share": differ / len(replays), "interval": [low, high]},
        "answers": [
            {"stable": stable, "canary": canary, "requests": number}
            for (stable, canary), number in counts.most_common()
        ],
    }


def _changes(replays: Sequence[Replay], answer: str | None) -> tuple[int, int, int]:
    """How often the canary alone gave an answer, the stable version alone, and neither alone."""
    more = sum(each.canary == answer != each.stable for each in replays)
    less = sum(each.stable == answer != each.canary for each in replays)
    return more, less, len(replays) - more - less


class _Arm:
    """One of the two versions, and where it answers."""

    def __init__(self, url: str, task: str, version: str, tag: str) -> None:
        name = predictor_name(version)
        self.version = version
        self.url = url.replace(PREDICTOR, name).replace(TAG, tag)
        self.client = Client(self.url, task, predictor=name)

    async def label(self, sent: Sent) -> str | None:
        """What it answers; None for no answer."""
        try:
            answer = await self.client.infer(sent, ("label",))
        except (RequestError, Overloaded):
            return None
        if answer.version != self.version:
            raise ConfigError(
                f"version {answer.version} answers at {self.url}, where version {self.version} was to; "
                "if the address is right, the route does not lead to its pods yet"
            )
        return bytes(answer.outputs["label"][0]).decode()
