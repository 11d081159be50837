"""``bonafide deliver``."""

from typing import Annotated

import typer

from bonafide.cli.options import EnvironmentOption, HostOption, HttpPortOption, PublicKeyOption, TaskOption
from bonafide.errors import ConfigError
from bonafide.home import delivery, trusted_keys


def deliver(
    local: Annotated[bool, typer.Option("--local", help="On this machine; clusters have Argo CD.")] = False,
    environment: EnvironmentOption = "dev",
    task: TaskOption = "authenticity",
    http_port: HttpPortOption = 8080,
    host: HostOption = "127.0.0.1",
    public_key: PublicKeyOption = None,
    sticky: Annotated[
        bool,
        typer.Option(
            "--sticky",
            help="Divide by X-Request-ID instead of at random: not while a canary is judged.",
        ),
    ] = False,
    every: Annotated[
        float,
        typer.Option(
            min=1, help="Seconds between two fetches of a Git address; a folder is read each second."
        ),
    ] = 30,
    scrape_seconds: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two readings of the predictors' counters.")
    ] = 5,
) -> None:
    """Serve what the delivery repository says is in service: stable and canary, by their weights.

    Changes of the repository are followed, and the predictors' counters recorded for the judge of a rollout.
    """
    if not local:
        raise ConfigError(
            "in a cluster Argo CD delivers (argocd/); on this machine: bonafide deliver --local"
        )
    from bonafide.serving import lean

    lean.import_kserve()

    from bonafide.delivery.local.server import Options
    from bonafide.delivery.local.server import deliver as deliver_here
    from bonafide.task import load_task
    from bonafide.telemetry import logs

    logs.configure()
    deliver_here(
        delivery(),
        environment,
        load_task(task).name,
        host=host,
        port=http_port,
        public_key=public_key or trusted_keys(),
        options=Options(every, scrape_seconds, sticky),
        announce=typer.echo,
    )
