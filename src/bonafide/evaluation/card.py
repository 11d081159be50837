"""The model card: Markdown in the sections of the Hugging Face template, from measured values only."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from bonafide.data.dataset import DatasetInfo
from bonafide.evaluation.compare import Comparison
from bonafide.evaluation.failures import known_failures
from bonafide.evaluation.gate import Verdict
from bonafide.evaluation.importance import Importance
from bonafide.evaluation.intervals import about_intervals
from bonafide.evaluation.metrics import Certainty, Metrics
from bonafide.evaluation.robustness import Degraded
from bonafide.model.package import PackageInfo
from bonafide.pages import render
from bonafide.task import Task


@dataclass(frozen=True)
class CardFacts:
    """What a model card is written from.

    Args:
        task: the configuration the model was trained by.
        dataset: what it was trained and tested on.
        package: what is packaged.
        metrics: on the test split.
        certainty: how often answers are uncertain there.
        comparison: with the champion, if there was one.
        robustness: accuracy under degradations; empty if not measured.
        importance: how much accuracy rests on each column; empty if not measured.
        verdict: of the gate.
        unseen: values of slices that were kept out of training.
        parameters: number of trained weights.
        latency_ms: median for one answer in milliseconds, or None if not measured.
        licence: SPDX identifier of the weights' licence.
        groups_are: what a group is in this task, as one sentence.
    """

    task: Task
    dataset: DatasetInfo
    package: PackageInfo
    metrics: Metrics
    certainty: Certainty
    verdict: Verdict
    comparison: Comparison | None = None
    robustness: Sequence[Degraded] = ()
    importance: Sequence[Importance] = ()
    unseen: Collection[str] = ()
    parameters: int | None = None
    latency_ms: float | None = None
    licence: str = "apache-2.0"
    groups_are: str = ""


def model_card(facts: CardFacts) -> str:
    """``MODEL_CARD.md`` for a model package; its front matter is readable by the Hugging Face Hub."""
    return render(
        "model_card.md",
        front_matter=yaml.safe_dump(_front_matter(facts), sort_keys=False, allow_unicode=True),
        facts=facts,
        task=facts.task,
        model=facts.task.model,
        dataset=facts.dataset,
        package=facts.package,
        metrics=facts.metrics,
        is_sample=any(source.kind == "sample" for source in facts.task.sources),
        failures=known_failures(facts.metrics, facts.robustness),
        intervals=about_intervals(
            facts.metrics.n, facts.metrics.groups, facts.groups_are, facts.metrics.noun
        ),
    )


def _front_matter(facts: CardFacts) -> dict[str, Any]:
    metrics, kind = facts.metrics, facts.package.input.hub_task
    measured = {
        "accuracy": metrics.accuracy,
        "f1": metrics.macro_f1,
        "precision": metrics.macro_precision,
        "recall": metrics.macro_recall,
        "roc_auc": metrics.auroc,
    }
    return {
        "license": facts.licence,
        "library_name": "onnx",
        "pipeline_tag": kind,
        "tags": list(dict.fromkeys([kind, *facts.task.card.tags, "onnx", "bonafide"])),
        "metrics": list(measured),
        "model-index": [
            {
                "name": facts.task.name,
                "results": [
                    {
                        "task": {"type": kind, "name": facts.task.title},
                        "dataset": {
                            "name": f"{facts.task.name}, test split",
                            "type": ", ".join(dict.fromkeys(source.kind for source in facts.task.sources)),
                            "split": "test",
                            "revision": facts.dataset.digest,
                        },
                        "metrics": [
                            {"type": kind, "name": kind, "value": round(interval.value, 4)}
                            for kind, interval in measured.items()
                            if math.isfinite(interval.value)
                        ],
                    }
                ],
            }
        ],
    }
