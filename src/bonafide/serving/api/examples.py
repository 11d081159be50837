"""Requests and answers as they might be, in the words of the task that callers ask about."""

from typing import Any

from bonafide.serving.api.schemas import Verdict
from bonafide.serving.api.topic import Topic

ID = {"request_id": "0b9f6b8c4f2e4d0e9a5d1c7f3e2a1b00"}
PREDICTION = "3f2b8c1d7a604e0f9b5d2c6e8a1f4b73"


def verdict(topic: Topic) -> dict[str, Any]:
    """That the first label is the most probable one."""
    first, *others = topic.labels
    shares = {first: 0.9} | {label: round(0.1 / len(others), 4) for label in others}
    said = Verdict(
        model=topic.name, version="7", label=first, uncertain=False, confidence=0.9, probabilities=shares
    )
    return said.model_dump(exclude_none=True)


def opinion(topic: Topic) -> dict[str, Any]:
    """That it was another label."""
    return {"prediction_id": PREDICTION, "label": topic.labels[1], "note": "I looked twice."}


def asked(topic: Topic) -> dict[str, Any]:
    """For a run of the task."""
    return {"task": topic.name, "settings": {"model.certain_precision": 0.9}}


def notification(topic: Topic) -> dict[str, Any]:
    """That the task needs training."""
    labels = {"alertname": "LooksDrifted", "bonafide_action": "retrain", "task": topic.name}
    return {
        "version": "4",
        "groupKey": f'{{}}:{{task="{topic.name}"}}',
        "status": "firing",
        "receiver": "training",
        "alerts": [{"status": "firing", "labels": labels}],
    }
