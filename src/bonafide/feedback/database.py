"""The database: how it is reached, what its failures are called, whether its tables are the right ones."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, IntegrityError, SQLAlchemyError

from bonafide import files
from bonafide.errors import ConfigError
from bonafide.feedback.errors import ContentError, OutdatedError, StoreError

DRIVER = "postgresql+pg8000"
PATIENCE_SECONDS = 10
MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATE = "bonafide feedback migrate"
# Of libpq: whether the server must show a certificate, and whether that must be for the host's name.
SSL_MODES = {"require": (ssl.CERT_NONE, False), "verify-ca": (ssl.CERT_REQUIRED, False)}
SSL_MODES |= {"verify-full": (ssl.CERT_REQUIRED, True)}
CONTENT = ("22", "23", "54")
"""Of PostgreSQL's codes the classes that say that values do not fit, also into an index."""
_one_thread = Lock()  # Alembic's context is the process's
ADVICE = "give sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"


class Database:
    """SQLite at ``sqlite:///FILE``, or PostgreSQL at ``postgresql://…``, also with libpq's ``sslmode``.

    Safe to use from several threads and processes.

    Args:
        patience: how many seconds a server may take for anything; None for ever, which a migration may need.

    Raises:
        ConfigError: it is another address.
    """

    def __init__(self, address: str, patience: float | None = PATIENCE_SECONDS) -> None:
        try:
            self._url = make_url(address)
        except ArgumentError:
            raise ConfigError(f"the store's address cannot be read; {ADVICE}") from None
        self.told = self._url.set(query={}).render_as_string(hide_password=True)
        self._engine = self._opened(patience)

    @property
    def is_file(self) -> bool:
        """Whether it is SQLite."""
        return self._url.get_backend_name() == "sqlite"

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, whole or not at all.

        Raises:
            StoreError: what the database says.
        """
        with self._answering(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Statements that change nothing and wait for no writer.

        Raises:
            StoreError: what the database says.
        """
        with (
            self._answering(),
            self._engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection,
        ):
            yield connection

    def migrate(self) -> None:
        """Make the tables, or bring them up to date; does nothing where they are.

        Raises:
            StoreError: what the database says.
        """
        from alembic import command

        with _one_thread, self._alone(), self.writing() as connection:
            command.upgrade(_alembic(connection), "head")

    def check(self) -> None:
        """See that the tables are those of this version; a file's are made.

        Raises:
            OutdatedError: they are not.
            StoreError: what the database says.
        """
        from alembic.runtime.migration import MigrationContext
        from alembic.script import ScriptDirectory

        if self.is_file:
            self.migrate()
        with self.reading() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
            wanted = ScriptDirectory.from_config(_alembic(connection)).get_current_head()
        if found != wanted:
            raise OutdatedError(
                f"the tables of {self.told} are of revision {found or 'none'}, this version needs {wanted}; "
                f"run '{MIGRATE}'"
            )

    def close(self) -> None:
        """Let go of its connections."""
        self._engine.dispose()

    def _opened(self, patience: float | None) -> Engine:
        common: dict[str, Any] = {"json_serializer": _dumps, "json_deserializer": orjson.loads}
        match self._url.get_backend_name():
            case "sqlite" if self._url.database:
                path = Path(self._url.database)
                path.parent.mkdir(parents=True, exist_ok=True)
                engine = create_engine(self._url, connect_args={"timeout": PATIENCE_SECONDS}, **common)
                event.listen(engine, "do_connect", lambda *_: path.touch(mode=0o600))
                event.listen(engine, "connect", _set_up)
                event.listen(engine, "begin", _begin)
                return engine
            case "postgresql":
                url, given = _postgresql(self._url)
                given["timeout"] = patience
                return create_engine(url, connect_args=given, pool_pre_ping=True, pool_size=4, **common)
        raise ConfigError(f"the store cannot be {self._url.drivername!r}; {ADVICE}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """PostgreSQL waits by itself."""
        if not self.is_file:
            yield
            return
        with files.lock(Path(f"{self._url.database}.lock")):
            yield

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            code, said = _said(error)
            if isinstance(error, DataError | IntegrityError) or code[:2] in CONTENT:
                raise ContentError(f"the store refuses what it is given: {said}") from error
            raise StoreError(
                f"the store at {self.told} does not answer as it should: {said}; "
                f"check that it runs, its address, and that '{MIGRATE}' was run"
            ) from error


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


def _said(error: Exception) -> tuple[str, str]:
    """PostgreSQL's code and the message; not its details, which may hold what people sent."""
    cause = getattr(error, "orig", None) or error
    told = cause.args[0] if cause.args else cause
    if isinstance(told, dict):
        return str(told.get("C", "")), str(told.get("M", ""))
    return "", str(cause).strip().partition("\n")[0][:300]


def _set_up(connection: Any, _: Any) -> None:
    """Readers and the writer do not wait for each other; a commit is on the disk when it returns."""
    connection.isolation_level = None
    for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {setting}")


def _begin(connection: Connection) -> None:
    """A transaction that reads first and writes later would be refused where another one writes."""
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _postgresql(url: URL) -> tuple[URL, dict[str, Any]]:
    """The address and options as the driver wants them, which knows none of libpq's."""
    query = dict(url.query)
    mode, authority = query.pop("sslmode", ""), query.pop("sslrootcert", None)
    given: dict[str, Any] = {}
    if mode in SSL_MODES:
        context = ssl.create_default_context(cafile=str(authority) if authority else None)
        certificate, name = SSL_MODES[str(mode)]
        context.check_hostname, context.verify_mode = name, certificate
        given["ssl_context"] = context
    elif mode not in ("", "disable"):
        raise ConfigError(f"sslmode {mode!r} of the store is none of disable, {', '.join(SSL_MODES)}")
    return url.set(drivername=DRIVER, query=query), given


def _alembic(connection: Connection) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
