"""``bonafide api`` and ``bonafide api-token``."""

import os
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bonafide.addresses import is_loopback
from bonafide.cli.kept import DaysOption, ImagesOption, StoreOption
from bonafide.cli.options import HostOption, PublicKeyOption, TaskOption
from bonafide.errors import ConfigError
from bonafide.home import STORE, trusted_keys

if TYPE_CHECKING:
    from bonafide.serving.api.settings import Settings
    from bonafide.serving.api.topic import Topic
    from bonafide.serving.api.upstream import Upstream
    from bonafide.serving.models.reload import Watcher

WATCH_SECONDS = 5
LOCAL = "local"
SECRET = "BONAFIDE_API_SECRET"  # noqa: S105  (the variable's name)

IssuerOption = Annotated[str, typer.Option(envvar="BONAFIDE_API_ISSUER", help="Who makes the tokens: `iss`.")]
AudienceOption = Annotated[
    str, typer.Option(envvar="BONAFIDE_API_AUDIENCE", help="Whom the tokens are for: `aud`.")
]


def api(
    package: Annotated[
        str | None,
        typer.Argument(
            help="What this process answers with and follows: a package, a folder with one for each version, "
            "or models:/TASK@ALIAS. [default: the one in service]"
        ),
    ] = None,
    url: Annotated[
        str,
        typer.Option(
            envvar="BONAFIDE_PREDICTOR_URL", help="Ask this server instead, e.g. http://127.0.0.1:8080."
        ),
    ] = "",
    model: Annotated[
        str, typer.Option(envvar="BONAFIDE_API_MODEL", help="Name of the model on that server.")
    ] = "",
    predictor_host: Annotated[
        str,
        typer.Option(
            envvar="BONAFIDE_PREDICTOR_HOST",
            help="Host that is asked for, where --url is a gateway that many share.",
        ),
    ] = "",
    host: HostOption = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    jwks: Annotated[
        str,
        typer.Option(
            envvar="BONAFIDE_API_JWKS",
            help="Keys that tokens are signed for (RS256, ES256): address or file of a JSON Web Key Set.",
        ),
    ] = "",
    issuer: IssuerOption = "bonafide",
    audience: AudienceOption = "bonafide",
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Ask for no token, not even from other machines.")
    ] = False,
    subject_rate: Annotated[
        str, typer.Option(envvar="BONAFIDE_API_SUBJECT_RATE", help="Predictions for each subject of a token.")
    ] = "600/minute",
    address_rate: Annotated[
        str, typer.Option(envvar="BONAFIDE_API_ADDRESS_RATE", help="Predictions for each address.")
    ] = "1200/minute",
    rate_storage: Annotated[
        str,
        typer.Option(
            envvar="BONAFIDE_API_RATE_STORAGE",
            help="Where they are counted: redis://host:6379 for replicas.",
        ),
    ] = "memory://",
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(
            envvar="BONAFIDE_API_CORS_ORIGIN", help="Pages of this origin may ask. May be repeated."
        ),
    ] = None,
    trusted_proxies: Annotated[
        str,
        typer.Option(
            envvar="BONAFIDE_API_TRUSTED_PROXIES",
            help="Addresses and networks, with commas, whose X-Forwarded-For is believed.",
        ),
    ] = "",
    pipelines: Annotated[
        str,
        typer.Option(
            envvar="BONAFIDE_API_PIPELINES",
            help="Start pipelines for callers with the scope train: `local`, or NAME of engines/NAME.yaml. "
            "[default: they may not]",
        ),
    ] = "",
    store: StoreOption = "",
    store_images: ImagesOption = "",
    store_days: DaysOption = 0,
    hook_token_file: Annotated[
        Path | None,
        typer.Option(
            envvar="BONAFIDE_API_HOOK_TOKEN_FILE",
            help="File of the token that Alertmanager shows for its web hook. [default: it shows a JWT]",
        ),
    ] = None,
    rest_hours: Annotated[
        float,
        typer.Option(
            envvar="BONAFIDE_API_REST_HOURS",
            min=0,
            help="Time within which alerts start one run of a task.",
        ),
    ] = 1,
    task: TaskOption = "authenticity",
    public_key: PublicKeyOption = None,
) -> None:
    """Answer people's programs over HTTP: predict, batch, explain, with tokens and rate limits.

    $BONAFIDE_API_SECRET, a shared secret of 32 bytes or more, takes the place of --jwks in development.
    """
    if package and url:
        raise ConfigError("say who answers: a PACKAGE or --url of a server, one of them")
    settings = _settings(
        "bonafide api",
        jwks=jwks,
        issuer=issuer,
        audience=audience,
        subject_rate=subject_rate,
        address_rate=address_rate,
        rate_storage=rate_storage,
        cors_origins=tuple(cors_origin or ()),
        hook_token=_token_of(hook_token_file),
        rest_hours=rest_hours,
    )
    _check_door(settings, host, no_auth)
    engine = _engine(pipelines, settings)
    if hook_token_file and engine is None:
        raise ConfigError("--hook-token-file lets alerts start pipelines; say where: --pipelines local")

    from bonafide.cli import kept
    from bonafide.serving.api import app, server
    from bonafide.serving.client import Client
    from bonafide.telemetry import logs

    logs.configure()
    writer = kept.writer(store, store_images)
    if store:
        os.environ[STORE] = store  # for the pipelines that it starts
    answers: Upstream = Client(url, model, predictor_host)
    background: list[Callable[[], Awaitable[None]]] = []
    if writer and store_days:
        from bonafide.feedback.retention import keep_forgetting

        background.append(keep_forgetting(writer.store, store_days))
    if url:
        topic = _topic_of_task(task)
    else:
        answers, watcher, topic = _local(package, task, public_key or trusted_keys())
        background.append(watcher.run)
    server.serve(
        app.create_app(answers, settings, topic, engine=engine, writer=writer),
        app.LIMITS,
        host=host,
        port=port,
        trusted_proxies=trusted_proxies,
        announce=lambda address: typer.echo(f"service API at {address}, its page at {address}/docs"),
        background=background,
    )


def token(
    subject: Annotated[str, typer.Argument(help="Who asks: `sub`.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="What the token allows: predict, batch, explain, feedback, train, alerts. "
            "[default: the first three]"
        ),
    ] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=720, help="How long it holds.")] = 1,
    issuer: IssuerOption = "bonafide",
    audience: AudienceOption = "bonafide",
) -> None:
    """Print a token for development, signed with $BONAFIDE_API_SECRET."""
    from bonafide.serving.api.tokens import PREDICTIONS, SCOPES, development_token

    settings = _settings("bonafide api-token", issuer=issuer, audience=audience)
    if not settings.needs_token:
        raise ConfigError(f"${SECRET} is not set; make one: export {SECRET}=$(openssl rand -hex 32)")
    if unknown := set(scope or ()) - set(SCOPES):
        raise ConfigError(f"--scope: {sorted(unknown)[0]!r} is none of {', '.join(SCOPES)}")
    typer.echo(development_token(settings, subject, scope or PREDICTIONS, hours))


def _settings(command: str, **given: Any) -> "Settings":
    from bonafide.config import parse
    from bonafide.serving.api.settings import Settings

    return parse(Settings, given | {"secret": os.environ.get(SECRET, "")}, where=command)


def _token_of(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        found = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--hook-token-file: {file} cannot be read: {error}") from error
    if not found:
        raise ConfigError(f"--hook-token-file: {file} is empty; make a token: openssl rand -hex 32")
    return found


def _check_door(settings: "Settings", host: str, no_auth: bool) -> None:
    if no_auth and settings.needs_token:
        raise ConfigError(f"--no-auth contradicts --jwks and ${SECRET}; leave one out")
    if not settings.needs_token and not no_auth and not is_loopback(host):
        raise ConfigError(
            f"on {host} other machines could ask without a token; give --jwks, --issuer and --audience, "
            f"or ${SECRET} for development, or say --no-auth"
        )


def _engine(pipelines: str, settings: "Settings") -> str | None:
    """Where pipelines run that callers ask for; empty for this machine, None where they may not."""
    if not pipelines:
        return None
    if not settings.needs_token:
        raise ConfigError(
            f"--pipelines lets callers train and promote, so it asks for tokens; give --jwks, or ${SECRET}"
        )
    if find_spec("kfp") is None:
        raise ConfigError("--pipelines needs kfp: pip install 'bonafide[pipelines]'")
    if pipelines == LOCAL:
        return ""
    from pipelines.runners.engine import settings_of

    settings_of(pipelines)
    return pipelines


def _topic_of_task(name: str) -> "Topic":
    """What a server is asked about says the task: the server itself may come later."""
    from bonafide.serving.api.topic import Topic
    from bonafide.task import load_task

    task = load_task(name)
    return Topic(task.name, task.labels, task.modality, task.features)


def _local(package: str | None, task: str, public_key: Path) -> tuple["Upstream", "Watcher", "Topic"]:
    from bonafide.cli import place
    from bonafide.cores import available_cores
    from bonafide.serving.api.topic import Topic
    from bonafide.serving.api.upstream import Local
    from bonafide.serving.compute.scheduler import Capacity, Scheduler
    from bonafide.serving.models.reload import Watcher
    from bonafide.serving.models.versions import Models

    scheduler, models = Scheduler(Capacity.of(available_cores())), Models()
    load = place.loader(public_key, scheduler)
    watcher = Watcher(place.source(package, "", task), load, models, WATCH_SECONDS)
    watcher.start()
    [name] = models.names
    info = models.get(name).info
    topic = Topic(name, info.labels, info.input.modality, info.input.features)
    return Local(models, scheduler), watcher, topic
