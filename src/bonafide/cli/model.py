"""``bonafide model``: the steps that make, judge and ship a model, one command each."""

from pathlib import Path
from typing import Annotated

import typer

from bonafide.cli.options import DatasetArgument, OutArgument, SetOption, TaskOption
from bonafide.home import trusted_keys, verifying_key
from bonafide.task import load_task

app = typer.Typer(help="Train, evaluate, gate, export and promote models.", no_args_is_help=True)

Checkpoint = Annotated[Path, typer.Argument(help="What `bonafide model train` wrote.")]
EvaluationFolder = Annotated[Path, typer.Argument(help="What `bonafide model evaluate` wrote.")]
ComparisonFolder = Annotated[Path, typer.Argument(help="What `bonafide model compare` wrote.")]
GateFolder = Annotated[Path, typer.Argument(help="What `bonafide model gate` wrote.")]
Package = Annotated[Path, typer.Argument(help="A signed model package.")]


@app.command()
def train(
    dataset: DatasetArgument, out: OutArgument, task: TaskOption = "authenticity", overrides: SetOption = None
) -> None:
    """Train and calibrate a detector, tracked in MLflow; a killed training resumes."""
    from bonafide.modality import arm
    from bonafide.registry import tracking

    settings = load_task(task, overrides)
    with tracking.begin(settings.name, {**settings.model.model_dump(), "seed": settings.seed}) as run:
        info = arm(settings.modality, "train")(dataset, out, settings.model, settings.seed, run)
    epoch = "" if info.best_epoch is None else f"epoch {info.best_epoch + 1}, "
    typer.echo(f"{out}: {epoch}validation accuracy {info.validation_accuracy:.3f}")


@app.command()
def evaluate(
    checkpoint: Checkpoint,
    dataset: DatasetArgument,
    out: OutArgument,
    task: TaskOption = "authenticity",
    overrides: SetOption = None,
) -> None:
    """Measure a model on the test split; writes evaluation.json, metrics.json, predictions.parquet and
    evaluation.html.
    """
    from bonafide.evaluation.evaluate import EVALUATION_REPORT, evaluate

    settings = load_task(task, overrides)
    told = settings.groups, settings.title
    measured = evaluate(checkpoint, dataset, out, settings.evaluation, settings.seed, *told)
    typer.echo(f"accuracy {measured.metrics.accuracy}, macro F1 {measured.metrics.macro_f1}")
    typer.echo(f"report: {out / EVALUATION_REPORT}")


@app.command()
def champion(out: OutArgument, task: TaskOption = "authenticity") -> None:
    """Note which version is in service and how its data is split; writes champion.json, placement.parquet."""
    from bonafide.registry.champion import write

    number = write(load_task(task).name, out)
    typer.echo(f"version {number} is in service" if number else "no version is in service")


@app.command()
def compare(
    checkpoint: Checkpoint,
    evaluation: EvaluationFolder,
    dataset: DatasetArgument,
    out: OutArgument,
    champion: Annotated[
        Path | None, typer.Option(help="What `bonafide model champion` wrote. [default: ask the registry]")
    ] = None,
    task: TaskOption = "authenticity",
    overrides: SetOption = None,
) -> None:
    """Let the champion answer the same test split."""
    from bonafide.evaluation.compare import compare
    from bonafide.registry.champion import find, read
    from bonafide.registry.packages import opponent
    from bonafide.registry.tracking import address

    settings = load_task(task, overrides)
    judged = read(champion) if champion else find(settings.name)["version"]
    against, trusted = opponent(settings.name, judged), trusted_keys()
    found = compare(
        checkpoint, evaluation, dataset, against, trusted, out, settings.evaluation, settings.seed
    )
    if found.champion:
        typer.echo(f"accuracy against version {found.champion}: {found.accuracy_difference}")
    else:
        typer.echo(f"{settings.name} has no champion in {address()}")


@app.command()
def gate(
    evaluation: EvaluationFolder,
    comparison: ComparisonFolder,
    out: OutArgument,
    task: TaskOption = "authenticity",
    overrides: SetOption = None,
) -> None:
    """Decide whether the model may be promoted; exits 1 if not. Writes gate.json and gate.html."""
    from bonafide.evaluation.gate import gate

    settings = load_task(task, overrides)
    verdict = gate(evaluation, comparison, out, settings.gate, settings.title)
    for check in verdict.checks:
        typer.echo(f"{'pass' if check.passed else 'FAIL'}  {check.why}")
    if not verdict.promote:
        raise typer.Exit(1)


@app.command()
def export(
    checkpoint: Checkpoint,
    dataset: DatasetArgument,
    evaluation: EvaluationFolder,
    comparison: ComparisonFolder,
    gate: GateFolder,
    out: OutArgument,
    task: TaskOption = "authenticity",
    overrides: SetOption = None,
) -> None:
    """Write a signed package with the ONNX graph, held against the evaluated model."""
    from bonafide.evaluation.export import export
    from bonafide.model.signing import signer

    settings = load_task(task, overrides)
    info = export(checkpoint, dataset, evaluation, comparison, gate, out, settings, signer())
    typer.echo(f"{out}: model digest {info.model_digest}")


@app.command()
def register(
    package: Package, dataset: DatasetArgument, evaluation: EvaluationFolder, gate: GateFolder
) -> None:
    """Record a package in the MLflow registry as challenger."""
    from bonafide.registry.register import register

    version = register(package, dataset, evaluation, gate, verifying_key())
    typer.echo(f"{version.task} version {version.number}")
    typer.echo(f"next: bonafide promote {version.number} --task {version.task}")
