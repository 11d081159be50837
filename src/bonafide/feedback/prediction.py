"""One image's answer, as it is kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import pybase64


@dataclass(frozen=True)
class Prediction:
    """What a model said about one image, or one row of a table.

    ``time`` is in UTC, by the clock of whoever answered. ``probabilities`` has each label's. ``embedding``
    is float32 [E], little-endian. ``statistics`` has ``width`` and ``height`` in pixels, ``brightness`` from
    0 to 1 and ``jpeg_quality`` from 1 to 100, those that are known; of a row it has the columns. ``sha256``
    is of the file, or of the row's float32; ``image`` is the address of the file's copy, where one is kept.
    """

    id: str
    time: datetime
    task: str
    version: str
    label: str
    uncertain: bool
    probabilities: Mapping[str, float]
    predictor: str = ""
    latency_ms: float | None = None
    embedding: bytes | None = None
    sha256: str | None = None
    statistics: Mapping[str, float] = field(default_factory=dict)
    image: str | None = None


def encode(prediction: Prediction) -> bytes:
    """As one line of JSON, without its end; numbers that are none become null."""
    content = dict(vars(prediction))
    if prediction.embedding is not None:
        content["embedding"] = pybase64.b64encode(prediction.embedding).decode()
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def decode(line: bytes) -> Prediction:
    """What :func:`encode` made.

    Raises:
        ValueError: it made no such line.
    """
    try:
        content: dict[str, Any] = orjson.loads(line)
        content["time"] = datetime.fromisoformat(content["time"]).astimezone(UTC)
        if content["embedding"] is not None:
            content["embedding"] = pybase64.b64decode(content["embedding"], validate=True)
        return Prediction(**content)
    except (TypeError, KeyError) as error:
        raise ValueError(f"no prediction: {error}") from error
