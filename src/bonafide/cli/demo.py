"""``bonafide demo``: the main job, from data to a served model."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bonafide.cli.options import SetOption, TaskOption
from bonafide.files import write_json
from bonafide.home import delivery, home, trusted_keys
from bonafide.task import load_task

if TYPE_CHECKING:
    from rich.console import Console

    from bonafide.delivery.current import InService

ENVIRONMENT = "dev"
SHOWN_PER_LABEL = 3


def demo(
    data: Annotated[
        str,
        typer.Argument(
            help="Your data: a folder with one sub-folder of images per class, or a file of rows; "
            "here or in a bucket."
        ),
    ] = "",
    task: TaskOption = "authenticity",
    overrides: SetOption = None,
    keep_serving: Annotated[bool, typer.Option(help="Leave the server running until Ctrl-C.")] = False,
) -> None:
    """Train, gate, sign, register and serve a model on this machine, and ask it about held-out inputs.

    Writes $BONAFIDE_HOME/demo: summary.json and the reports. Exits 1 if the gate refuses the model.
    """
    from rich.console import Console

    from bonafide.cli import outcome
    from bonafide.cli.live import refuse_failed, run_local
    from bonafide.data.dataset import examples
    from bonafide.delivery.current import in_service
    from bonafide.sources.digests import with_source
    from pipelines.summary import collect_reports, summarise
    from pipelines.training import arguments

    console = Console(file=sys.stdout, highlight=False)
    settings = with_source(load_task(task, overrides), data)
    run = run_local("training", arguments(settings, ENVIRONMENT), console)
    folder = home() / "demo"
    reports = collect_reports(run, folder / "reports")
    if not run.succeeded:
        outcome.print_reports(console, reports)
    refuse_failed(run)
    summary = summarise(run) | {"model": None, "predictions": []}
    write_json(folder / "summary.json", summary)
    outcome.print_summary(console, summary)
    if not summary["gate"]["promote"]:
        outcome.print_places(console, reports, folder / "summary.json")
        raise typer.Exit(1)
    current = in_service(delivery(), ENVIRONMENT, settings.name)
    shown = examples(run.artifact("split", "splits"), "test", settings.labels, SHOWN_PER_LABEL)
    summary["model"] = {"version": current.version, "package": str(current.package)}
    _serve(console, current, shown, summary, folder / "summary.json", reports, task, keep_serving)


def _serve(
    console: "Console",
    current: "InService",
    shown: list[dict[str, Any]],
    summary: dict[str, Any],
    summary_file: Path,
    reports: dict[str, Path],
    task: str,
    keep_serving: bool,
) -> None:
    from bonafide.cli import outcome
    from bonafide.model.package import verify
    from bonafide.serving.child import served
    from bonafide.serving.client import predict_remote
    from bonafide.serving.sent import sent_of

    ports = {"http_port": 8080, "grpc_port": 8081} if keep_serving else {}
    with served(current.package, current.version, **ports) as server:
        asked = sent_of([each.pop("content") for each in shown])
        answers = predict_remote(server.url, asked, None, False)
        for index, each in enumerate(shown):
            shares = map(float, answers.probabilities[index])
            each["label"] = answers.names[index]
            each["uncertain"] = bool(answers.uncertain[index])
            each["probabilities"] = dict(zip(answers.labels, shares, strict=True))
        summary["predictions"] = shown
        summary["model"]["asked_at"] = server.url
        write_json(summary_file, summary)
        outcome.print_predictions(console, summary, current.version, server.url)
        info = verify(current.package, trusted_keys())
        example = f"{info.input.example} --task {task}"
        outcome.print_places(console, reports, summary_file, current.package, example)
        if keep_serving:
            console.print(f"\nserving at {server.url} and {server.grpc}; Ctrl-C stops it")
            server.wait()
