"""From what a detector in service was asked to a new one, if it needs that.

1. fetch        the package of the version in service
2. collect      its predictions, and how well it does by the labels that people confirmed
3. drift-check  whether they are about what the model knows, with a report
4. decide       whether to train: for drift, for a fall of quality, for age, or because it was asked for

Then come the steps of the training pipeline, with the confirmed feedback added to its data. ``report``
records how the run ended.
"""

from typing import Any

from kfp import dsl

from bonafide.task import Task
from components.collect import collect
from components.decide import decide
from components.drift_check import drift_check
from components.fetch import fetch
from components.report import report
from pipelines import training


@dsl.pipeline(name="monitoring", description="From what a detector was asked to a new one, if it needs that")
def monitoring(
    name: str,
    title: str,
    modality: str,
    labels: list,
    features: list,
    groups: str,
    validation_settings: dict,
    split_settings: dict,
    model_settings: dict,
    evaluation_settings: dict,
    gate_settings: dict,
    drift_settings: dict,
    monitoring_settings: dict,
    task: dict,
    seed: int = 42,
    environment: str = "dev",
    retrain: str = "due",
    run: str = "",
):
    """The four steps above, none of which is cached: what is in service and what it was asked change."""
    outcome = report(task=name).set_caching_options(False)

    with dsl.ExitHandler(outcome, name="run"):
        fetched = fetch(task=name, version="", output="", overwrite=False)

        collected = collect(task=name, package=fetched.outputs["package"], settings=monitoring_settings)

        checked = drift_check(
            window=collected.outputs["window"], package=fetched.outputs["package"], settings=drift_settings
        )

        decided = decide(
            run=run,
            job=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            drift=checked.outputs["drift"],
            quality=collected.outputs["quality"],
            task=task,
            retrain=retrain,
        )

        for step in (fetched, collected, checked, decided):
            step.set_caching_options(False).set_cpu_request("1").set_memory_request("2Gi")

        with dsl.If(decided.outputs["Output"] == True, name="retraining"):  # noqa: E712
            training.steps(
                name=name,
                title=title,
                modality=modality,
                labels=labels,
                features=features,
                groups=groups,
                sources=decided.outputs["sources"],
                validation_settings=validation_settings,
                split_settings=split_settings,
                model_settings=model_settings,
                evaluation_settings=evaluation_settings,
                gate_settings=gate_settings,
                task=task,
                seed=seed,
                environment=environment,
            )


def arguments(task: Task, environment: str = "dev", retrain: str = "due", run: str = "") -> dict[str, Any]:
    """The pipeline's arguments for a task; what is in its sources is looked at by a step.

    Args:
        run: what the run is known by to whoever asked for it, so that one begun again decides the same.
    """
    given = training.arguments(task, environment)
    del given["sources"]
    return given | {
        "drift_settings": given["task"]["drift"],
        "monitoring_settings": given["task"]["monitoring"],
        "retrain": retrain,
        "run": run,
    }
