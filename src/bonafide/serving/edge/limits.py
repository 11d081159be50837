"""What a client may send and how long it may take; see docs/reference for the same list."""

from dataclasses import dataclass

MIB = 2**20
MAXIMUM_IMAGES = 64
"""Images that a request may have."""

MAXIMUM_ROWS = 10_000
"""Rows of a table that a request may have."""

MAXIMUM_VALUES = 2 * MIB
"""Values that a request may have in its JSON; in memory each takes 8 to 60 bytes."""


@dataclass(frozen=True)
class Limits:
    """Sizes are in bytes, times in seconds.

    ``body`` is of one request, also once it is inflated; ``held`` is of all requests together. Beyond
    ``connections`` only health is answered over REST, beyond twice as many nothing is; ``pipelined`` requests
    may wait on one connection, ``rpcs`` may run at once and
    as many messages as ``arriving`` be under way. A client has ``header_seconds`` for a whole header,
    ``upload_seconds`` for a whole body, ``message_seconds`` for a gRPC message, and may be silent for
    ``stall_seconds`` within a body or an answer. A gRPC message has ``fair_seconds`` while others wait.
    """

    body: int = 64 * MIB
    held: int = 256 * MIB
    header: int = 32 * 1024
    connections: int = 1000
    pipelined: int = 32
    rpcs: int = 256
    arriving: int = 4
    header_seconds: float = 10
    stall_seconds: float = 10
    upload_seconds: float = 120
    message_seconds: float = 20
    fair_seconds: float = 5
    keep_alive_seconds: int = 65
    grace_seconds: int = 20
