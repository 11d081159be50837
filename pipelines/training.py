"""From data to a promoted model.

1. ingest    the sources become one dataset; unusable files are quarantined
2. validate  duplicates, balance and shortcuts, with a report; a failed check ends the run at the split
3. split     train, val and test, no group in two of them
4. train     fit and calibrate, tracked in MLflow
5. evaluate  metrics with intervals, slices, robustness
6. compare   the champion answers the same test split
7. gate      floors and non-inferiority decide
8. export    a signed package around the graph
9. register  a version with its lineage
10. promote  a commit to the delivery folder

Two tasks stand beside the steps. ``champion`` comes first and notes which version is in service: split keeps
that version's groups where they were, and compare judges against it. ``report`` records how the run ended.
"""

from typing import Any

from kfp import dsl

from bonafide.task import Task
from components.champion import champion
from components.compare import compare
from components.evaluate import evaluate
from components.export import export
from components.gate import gate
from components.ingest import ingest
from components.promote import promote
from components.register import register
from components.report import report
from components.split import split
from components.train import train
from components.validate import validate


def steps(
    name: Any,
    title: Any,
    modality: Any,
    labels: Any,
    features: Any,
    groups: Any,
    sources: Any,
    validation_settings: Any,
    split_settings: Any,
    model_settings: Any,
    evaluation_settings: Any,
    gate_settings: Any,
    task: Any,
    seed: Any,
    environment: Any,
) -> None:
    """The ten steps above; each takes its own section of the task, and the last three need a passed gate."""
    before = champion(task=name).set_caching_options(False)

    data = ingest(modality=modality, sources=sources, labels=labels, features=features, seed=seed)
    data.after(before)

    audit = validate(dataset=data.outputs["dataset"], settings=validation_settings, title=title, seed=seed)

    parts = split(
        task=name,
        champion=before.output,
        dataset=data.outputs["dataset"],
        validation=audit.outputs["validation"],
        settings=split_settings,
        seed=seed,
    )
    splits = parts.outputs["splits"]

    trained = train(dataset=splits, task=name, modality=modality, settings=model_settings, seed=seed)
    trained.set_cpu_request("2").set_memory_request("4Gi")

    measured = evaluate(
        model=trained.outputs["model"],
        dataset=splits,
        settings=evaluation_settings,
        title=title,
        groups=groups,
        seed=seed,
    )

    compared = compare(
        task=name,
        champion=before.output,
        model=trained.outputs["model"],
        evaluation=measured.outputs["evaluation"],
        dataset=splits,
        settings=evaluation_settings,
        seed=seed,
    ).set_caching_options(False)

    judged = gate(
        evaluation=measured.outputs["evaluation"],
        comparison=compared.outputs["comparison"],
        settings=gate_settings,
        title=title,
    )

    with dsl.If(judged.outputs["Output"] == True, name="promoted"):  # noqa: E712
        exported = export(
            model=trained.outputs["model"],
            dataset=splits,
            evaluation=measured.outputs["evaluation"],
            comparison=compared.outputs["comparison"],
            verdict=judged.outputs["verdict"],
            task=task,
        )

        registered = (
            register(
                package=exported.outputs["package"],
                dataset=splits,
                evaluation=measured.outputs["evaluation"],
                verdict=judged.outputs["verdict"],
            )
            .set_caching_options(False)
            .set_retry(2, backoff_duration="5s")
        )

        promoted = promote(task=name, version=registered.output, environment=environment)
        promoted.set_caching_options(False).set_retry(2, backoff_duration="5s")

    for step in (before, data, audit, parts, measured, compared, judged, exported, registered, promoted):
        step.set_cpu_request("1").set_memory_request("2Gi")


@dsl.pipeline(name="training", description="From data to a promoted model")
def training(
    name: str,
    title: str,
    modality: str,
    labels: list,
    features: list,
    groups: str,
    sources: list,
    validation_settings: dict,
    split_settings: dict,
    model_settings: dict,
    evaluation_settings: dict,
    gate_settings: dict,
    task: dict,
    seed: int = 42,
    environment: str = "dev",
):
    """The ten steps, and the record of how the run ended."""
    outcome = report(task=name).set_caching_options(False)

    with dsl.ExitHandler(outcome, name="run"):
        steps(
            name=name,
            title=title,
            modality=modality,
            labels=labels,
            features=features,
            groups=groups,
            sources=sources,
            validation_settings=validation_settings,
            split_settings=split_settings,
            model_settings=model_settings,
            evaluation_settings=evaluation_settings,
            gate_settings=gate_settings,
            task=task,
            seed=seed,
            environment=environment,
        )


def arguments(task: Task, environment: str = "dev") -> dict[str, Any]:
    """The pipeline's arguments for a task: each step gets its own section, so that caching follows it."""
    settings = task.model_dump(mode="json", exclude_none=True)  # kfp has no null
    return {
        "name": task.name,
        "title": task.title,
        "modality": task.modality,
        "labels": settings["labels"],
        "features": settings["features"],
        "groups": task.groups,
        "sources": [source.model_dump(mode="json") for source in task.sources],
        "validation_settings": settings["validation"],
        "split_settings": settings["split"],
        "model_settings": settings["model"],
        "evaluation_settings": settings["evaluation"],
        "gate_settings": settings["gate"],
        "task": settings,
        "seed": task.seed,
        "environment": environment,
    }
