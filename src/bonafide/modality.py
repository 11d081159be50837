"""What a task's modality decides, in one place: by what it is, who reads, trains, asks and explains.

Each arm is named and found when it is wanted, so that rooms of every height can ask here, nothing is loaded
that is not used, and an arm's modules are imported by nobody else.
"""

from pkgutil import resolve_name
from typing import Any, Literal

from bonafide.errors import ConfigError

Modality = Literal["image", "table"]
Role = Literal[
    "read", "audit", "train", "ask", "describe", "examine", "question", "paths", "score", "imitate"
]

NOUNS: dict[Modality, str] = {"image": "image", "table": "row"}
"""What people call one input; several take an s."""

ARMS: dict[Modality, dict[Role, str]] = {
    "image": {
        "read": "bonafide.sources.ingest:ingest",
        "audit": "bonafide.data.pictures:audit",
        "train": "bonafide.model.train:train",
        "ask": "bonafide.model.answers:answer",
        "describe": "bonafide.evaluation.pictures:describe",
        "examine": "bonafide.evaluation.pictures:examine",
        "question": "bonafide.serving.v2.images",
        "paths": "bonafide.serving.api.images",
        "score": "bonafide.batch.scoring:images",
        "imitate": "bonafide.delivery.demo.imitated:pictures",
    },
    "table": {
        "read": "bonafide.sources.rows:ingest",
        "audit": "bonafide.data.rows:audit",
        "train": "bonafide.model.estimators:train",
        "ask": "bonafide.model.table:answer",
        "describe": "bonafide.evaluation.rows:describe",
        "examine": "bonafide.evaluation.rows:examine",
        "question": "bonafide.serving.v2.rows",
        "paths": "bonafide.serving.api.rows",
        "score": "bonafide.batch.rows:rows",
        "imitate": "bonafide.delivery.demo.imitated:rows",
    },
}


def arm(modality: Modality, role: Role) -> Any:
    """Who plays a role for a modality.

    - ``read``: the ingest step, (sources, labels, out, seed, features) to
      :class:`bonafide.data.dataset.DatasetInfo`.
    - ``audit``: (dataset, kept, settings, seed) to :class:`bonafide.data.audited.Audited`, what the validate
      step asks beyond what it asks of every dataset.
    - ``train``: the train step, (dataset, out, settings, seed, run) to
      :class:`bonafide.model.checkpoint.TrainingInfo`.
    - ``ask``: (model, dataset, split, outputs) to :data:`bonafide.model.answers.Answers`.
    - ``describe``: (dataset, split) to one mapping of statistics an input, for drift to show.
    - ``examine``: :class:`bonafide.evaluation.examined.Asked` to
      :class:`bonafide.evaluation.examined.Examined`, what is shown beside the figures.
    - ``question``: a module with ``tensors(info)``, the inputs that the v2 protocol takes, and
      ``items(request, info)``, what :class:`bonafide.serving.compute.engine.Engine` scores.
    - ``paths``: a module with ``router(upstream, door, limits, topic)``, the paths of the service API that
      answer with predictions, and with the ``DESCRIPTION`` of its document.
    - ``score``: (where, model) to :class:`bonafide.batch.inputs.Inputs`, what is scored into one table.
    - ``imitate``: (task, folder, how many) to what a demonstration asks about, a path that
      ``bonafide simulate`` takes.

    Raises:
        ConfigError: nobody does in this version.
    """
    name = ARMS.get(modality, {}).get(role)
    if name is None:
        raise ConfigError(f"modality {modality!r} is known, but this version cannot {role} a {modality}")
    return resolve_name(name)
