"""``bonafide serve``."""

from pathlib import Path
from typing import Annotated

import typer

from bonafide.home import keys


def serve(
    package: Annotated[Path, typer.Argument(help="Folder of a model package.")],
    http_port: Annotated[int, typer.Option(min=0, max=65535, help="Of REST; 0 takes a free one.")] = 8080,
    grpc_port: Annotated[int, typer.Option(min=0, max=65535, help="Of gRPC; 0 takes a free one.")] = 8081,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    public_key: Annotated[
        Path | None,
        typer.Option(help="Key that the signature must hold for. [default: $BONAFIDE_HOME/keys/signing.pub]"),
    ] = None,
    version: Annotated[
        str,
        typer.Option(
            envvar="BONAFIDE_MODEL_VERSION", help="Told in every response. [default: the model's digest]"
        ),
    ] = "",
    variant: Annotated[
        str, typer.Option(envvar="BONAFIDE_VARIANT", help="Told in every response: stable or canary, say.")
    ] = "stable",
) -> None:
    """Verify a model package and serve it over the Open Inference Protocol v2, REST and gRPC."""
    from bonafide.serving import server

    server.serve(
        package,
        public_key or keys() / "signing.pub",
        host=host,
        http_port=http_port,
        grpc_port=grpc_port,
        version=version,
        variant=variant,
        announce=lambda addresses: typer.echo(f"serving {package}: {addresses}"),
    )
