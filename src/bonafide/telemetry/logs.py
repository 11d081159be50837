"""Log lines as JSON, one object a line, each with the id of the request that it belongs to."""

import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

protocol: ContextVar[str] = ContextVar("protocol", default="local")
"""How the request at hand came in: rest, grpc, api or local."""

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request at hand; empty outside of one."""

_TOKEN = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*")


class Formatter(JsonFormatter):
    """Fields ``time`` (ISO 8601, UTC), ``level``, ``logger``, ``message``, ``request_id``, then the extra.

    Bytes are told by their number, and what looks like a JSON Web Token is left out.
    """

    def __init__(self) -> None:
        names = {"asctime": "time", "levelname": "level", "name": "logger"}
        super().__init__([*names, "message", "request_id"], rename_fields=names, json_default=_told)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002
        """The record's time, in milliseconds."""
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")

    def serialize_log_record(self, log_data: dict[str, Any]) -> str:
        """One line without tokens."""
        return _TOKEN.sub("[token]", super().serialize_log_record(log_data))


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send the log of this process to ``stream`` (standard error if None) as JSON lines, and nowhere else."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(Formatter())
    handler.addFilter(_add_request_id)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in ("httpx", "alembic"):  # a line for each request to the predictor, and for each of its parts
        logging.getLogger(name).setLevel(logging.WARNING)


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = request_id.get()
    return True


def _told(value: Any) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes | bytearray | memoryview) else str(value)
