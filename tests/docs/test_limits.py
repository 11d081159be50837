"""The page of limits and errors has the numbers and the reasons of the code."""

import ast
import re
from dataclasses import asdict
from pathlib import Path

import pytest

import bonafide
from bonafide.data import header
from bonafide.serving import client, errors
from bonafide.serving.api import app, auth, feedback, rows
from bonafide.serving.api.settings import Settings
from bonafide.serving.compute import scheduler
from bonafide.serving.edge import ids, limits
from bonafide.serving.v2 import failures, message, wire
from bonafide.serving.v2.rpc import CODES

MIB = 2**20
PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "limits-and-errors.md").read_text()
CODE = Path(bonafide.__file__).parent
RAISED = {"_refuse": 2, "RequestError": 2, "Overloaded": 2, "ImageError": 0, "count": 1, "ended": 1}
"""Which argument of each call is the reason."""

CAPACITY = scheduler.Capacity.of(1)
FILE = {
    "max_bytes": "size",
    "max_pixels": "pixels of a JPEG in grey or colour",
    "max_pixels_whole": "pixels of a PNG, or of a JPEG that is progressive or in CMYK",
    "max_pixels_webp": "pixels of a WebP",
    "min_side": "each side",
    "formats": "formats",
}
PARTS = {
    "scans": "scans of a JPEG",
    "segments": "segments of a JPEG",
    "bytes of padding": "bytes of padding in a JPEG",
    "chunks": "chunks of a PNG",
    "data chunks": "data chunks of a PNG",
}
SERVER = {
    "body": "a request's body, as sent and once inflated; a gRPC message",
    "held": "bodies of all requests together",
    "header": "request line and headers, or trailers, of REST",
    "connections": "connections, of REST and of gRPC each",
    "pipelined": "requests that wait on one REST connection",
    "rpcs": "gRPC inferences at once",
    "arriving": "gRPC messages on their way at once",
    "header_seconds": "time for a header",
    "stall_seconds": "silence within a body, or in reading an answer",
    "upload_seconds": "time for a body",
    "message_seconds": "time for a gRPC message",
    "fair_seconds": "time for a gRPC message while others wait",
    "keep_alive_seconds": "idle connection",
    "grace_seconds": "finishing requests after `SIGTERM`",
}
SIZES = {"max_bytes": MIB, "body": MIB, "held": MIB, "header": 1024}


def told(name: str, value) -> str:
    """A limit as the page writes it."""
    if name in SIZES:
        assert value % SIZES[name] == 0
        return f"{value // SIZES[name]} {'MiB' if SIZES[name] == MIB else 'KiB'}"
    if name.endswith("_seconds"):
        return f"{value:g} s"
    if name.startswith("max_pixels"):
        return f"{value / 10**6:g} million"
    if name == "min_side":
        return f"{value} pixels or more"
    return f"{value:,}" if isinstance(value, int) else ", ".join(value)


IMAGES = {
    **{FILE[name]: told(name, value) for name, value in asdict(header.LIMITS).items()},
    **{PARTS[name]: told(name, value) for name, value in header.MAXIMUM_PARTS.items()},
    "frames": "1",
}
REQUESTS = {
    **{SERVER[name]: told(name, value) for name, value in asdict(limits.Limits()).items()},
    "images a request": f"{limits.MAXIMUM_IMAGES}",
    "rows of a table a request": f"{limits.MAXIMUM_ROWS:,}",
    "values in JSON": f"{limits.MAXIMUM_VALUES:,}",
    "inputs, and outputs, in JSON": f"{wire.MAXIMUM_TENSORS}",
    f"fields of a gRPC message above {message.TINY // 1024} KiB": f"{message.MAXIMUM_FIELDS:,}",
    f"typed numbers in a gRPC message above {message.TINY // 1024} KiB": (
        f"{message.WIDEST * limits.MAXIMUM_VALUES // MIB} MiB"
    ),
    "images accepted and not yet answered": f"{CAPACITY.queue} for each core",
    "time until the answer": f"{CAPACITY.deadline_seconds:g} s",
    "what `Retry-After` asks for": f"1 to {scheduler.LONGEST_RETRY_SECONDS} s",
    "`X-Request-ID`": f"{ids._ID.pattern.rpartition(',')[2].rstrip('}')} characters",
    "an error's message": f"{failures.LONGEST_MESSAGE:,} characters",
}
API = {
    "images of a token's subject": Settings().subject_rate,
    "images from an address (IPv6: a /64 network)": Settings().address_rate,
    "a token": f"{auth.LONGEST_TOKEN:,} characters",
    "bodies of all its requests together": told("held", app.LIMITS.held),
    "answer of the predictor behind `--url`": f"{client.TIMEOUT_SECONDS} s",
    "a feedback's body": f"{feedback.BODY_BYTES // 1024} KiB",
    "a body with rows of a table": f"{rows.BODY_BYTES // MIB} MiB",
}


def table(first: str, after: str = "") -> list[list[str]]:
    """Rows of the first table, after a text, whose header begins with a cell."""
    begin = PAGE.index(f"\n| {first} |", PAGE.index(after))
    lines = PAGE[begin + 1 :].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (table("An image file"), IMAGES),
        (table("Limit", "## Requests"), REQUESTS),
        (table("Limit", "has these as well"), API),
    ],
    ids=["images", "requests", "service API"],
)
def test_the_limits_are_those_of_the_code(rows, expected):
    assert {row[0]: row[1] for row in rows} == expected


def reasons(source: str) -> set[str]:
    """Each literal reason with which a request is refused or counted."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            found.update(node.args[RAISED[name] :][:1] if name in RAISED else [])
    return {node.value for node in found if isinstance(node, ast.Constant)}


def test_every_reason_is_told_and_no_other():
    files = [
        CODE / "data" / "header.py",
        *(
            path
            for path in (CODE / "serving").rglob("*.py")
            if path.parent.name != "api" and path.name != "client.py"
        ),
    ]
    raised = set().union(*(reasons(path.read_text()) for path in files)) | {"request"}
    assert {"queue-full", "too-complex", "connections", "http", "internal"} <= raised
    told = {reason for row in table("REST") for reason in re.findall(r"`(.+?)`", row[2])}
    assert told == raised


def test_every_image_reason_has_its_status():
    statuses = {reason: row[0] for row in table("REST") for reason in re.findall(r"`(.+?)`", row[2])}
    for reason in reasons((CODE / "data" / "header.py").read_text()):
        assert statuses[reason] == str(errors.STATUS.get(reason, 400))
    codes = {row[0]: row[1].strip("`") for row in table("REST") if row[0] in map(str, CODES)}
    assert codes == {str(status): code.name for status, code in CODES.items()}
