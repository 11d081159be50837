"""What ``bonafide predict`` says of each image or row, as JSON and in a table."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from bonafide.serving.answer import Answer as Predictions


@dataclass(frozen=True)
class Answer:
    """A label and the probabilities by label, or why there is none."""

    label: str = ""
    uncertain: bool = False
    probabilities: dict[str, float] = field(default_factory=dict)
    error: str = ""


def answers(predictions: "Predictions") -> list[Answer]:
    """One for each of ``predictions``."""
    rows = zip(predictions.names, predictions.uncertain, predictions.probabilities, strict=True)
    return [
        Answer(name, bool(uncertain), dict(zip(predictions.labels, map(float, row), strict=True)))
        for name, uncertain, row in rows
    ]


def told(predictions: "Predictions | None", entries: Sequence[tuple[dict[str, Any], Answer]]) -> str:
    """JSON: whose predictions they are, and of each what was asked about and the answer."""
    import json

    source = {"model": predictions.model, "version": predictions.version} if predictions else {}
    said = [about | _told(answer) for about, answer in entries]
    return json.dumps(source | {"predictions": said}, indent=2, ensure_ascii=False)


def table(predictions: "Predictions | None", *before: str) -> "Table":
    """An empty table: the columns ``before``, then those of :func:`cells`."""
    from rich.table import Table

    made = Table(*before, "label", "confidence", *(predictions.labels if predictions else ()))
    if predictions:
        made.title = f"{predictions.model}, version {predictions.version}"
    for column in made.columns[len(before) + 1 :]:
        column.justify = "right"
    return made


def cells(answer: Answer) -> list["Text | str"]:
    """The label, its probability and that of each label, or the reason alone."""
    from rich.text import Text

    if answer.error:
        return [Text(answer.error.partition(":")[0], style="red")]
    label = Text.assemble((answer.label, "bold"), (" uncertain", "yellow") if answer.uncertain else "")
    shares = [f"{share:.3f}" for share in answer.probabilities.values()]
    return [label, f"{answer.probabilities[answer.label]:.1%}", *shares]


def _told(answer: Answer) -> dict[str, Any]:
    if answer.error:
        return {"error": answer.error}
    return {
        "label": answer.label,
        "uncertain": answer.uncertain,
        "probabilities": answer.probabilities,
    }
