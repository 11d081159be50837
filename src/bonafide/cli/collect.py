"""``bonafide collect``."""

from typing import Annotated

import typer

from bonafide.cli.kept import DaysOption, ImagesOption, StoreOption
from bonafide.home import LOCAL


def collect(
    store: StoreOption = LOCAL,
    store_images: ImagesOption = "",
    store_days: DaysOption = 0,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8090,
) -> None:
    """Keep what KServe's payload logger sends: requests and answers of predictors, as CloudEvents."""
    from bonafide.serving import lean

    lean.import_kserve()

    from bonafide.cli import kept
    from bonafide.feedback.retention import keep_forgetting
    from bonafide.serving.api import server
    from bonafide.serving.collect import app
    from bonafide.telemetry import logs

    logs.configure()
    writer = kept.writer(store or LOCAL, store_images)
    assert writer is not None
    server.serve(
        app.create_app(writer),
        app.LIMITS,
        host=host,
        port=port,
        trusted_proxies="",
        announce=lambda address: typer.echo(f"collecting at {address}"),
        background=[keep_forgetting(writer.store, store_days)] if store_days else [],
    )
