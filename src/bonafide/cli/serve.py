"""``bonafide serve``."""

from contextlib import closing
from dataclasses import replace
from typing import Annotated

import typer

from bonafide.cli.options import HostOption, HttpPortOption, PublicKeyOption, TaskOption
from bonafide.home import trusted_keys
from bonafide.serving.edge.limits import MAXIMUM_IMAGES


def serve(
    package: Annotated[
        str | None,
        typer.Argument(
            help="Folder of a model package, folder with a package for each version, or models:/TASK@ALIAS. "
            "[default: the one in service]"
        ),
    ] = None,
    http_port: HttpPortOption = 8080,
    grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="gRPC port; 0 takes a free one.")] = 8081,
    host: HostOption = "127.0.0.1",
    public_key: PublicKeyOption = None,
    version: Annotated[
        str,
        typer.Option(
            envvar="BONAFIDE_MODEL_VERSION",
            help="Version of a single package; every response names it. [default: the model's digest]",
        ),
    ] = "",
    watch: Annotated[
        float, typer.Option(min=0, help="Seconds between two looks for a new version; 0 for never.")
    ] = 5,
    repository_control: Annotated[
        bool,
        typer.Option(
            "--repository-control",
            help="Load and unload by request: anyone who reaches a port can then take the model out.",
        ),
    ] = False,
    queue: Annotated[
        int | None,
        typer.Option(
            min=MAXIMUM_IMAGES, help="Inputs accepted and unanswered at once. [default: 64 for each core]"
        ),
    ] = None,
    deadline: Annotated[
        float, typer.Option(min=0.001, help="Seconds after which a request is given up.")
    ] = 10,
    task: TaskOption = "authenticity",
) -> None:
    """Verify a model package and serve it over the Open Inference Protocol v2, REST and gRPC.

    A new version in the same place is verified, loaded and swapped in; one that is refused changes nothing.
    """
    from bonafide.serving import lean

    lean.import_kserve()

    from bonafide.cli import place
    from bonafide.cores import available_cores
    from bonafide.serving import server
    from bonafide.serving.compute.scheduler import Capacity, Scheduler
    from bonafide.serving.models.reload import Watcher
    from bonafide.serving.models.versions import Models
    from bonafide.telemetry import logs

    logs.configure()
    source = place.source(package, version, task)
    capacity = replace(Capacity.of(available_cores()), deadline_seconds=deadline)
    models = Models()
    with closing(Scheduler(replace(capacity, queue=queue or capacity.queue))) as scheduler:
        load = place.loader(public_key or trusted_keys(), scheduler)
        watcher = Watcher(source, load, models, watch)
        watcher.start()
        models.control = watcher if repository_control else None
        server.serve(
            models,
            host=host,
            http_port=http_port,
            grpc_port=grpc_port,
            announce=lambda addresses: typer.echo(f"serving {package or task}: {addresses}"),
            background=[watcher.run] if watch else [],
        )
