"""Asking a model, packaged or served; both answer with the same type."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bonafide.errors import BonafideError, ConfigError, ImageError
from bonafide.serving.answer import Answer, Array, labelled
from bonafide.serving.columns import Columns, single
from bonafide.serving.edge.ids import EVENT_HEADER, PREDICTOR_HEADER, event_id
from bonafide.serving.errors import Overloaded, RequestError
from bonafide.serving.sent import File, Sent, items_of
from bonafide.telemetry.logs import request_id

HEADER = "inference-header-content-length"
OUTPUTS = ("label", "uncertain", "probabilities")
BATCH = 32
BATCH_BYTES = 24 * 2**20
STEP = 256 * 2**10
PASSED_ON = (400, 413, 415)
RETRY_SECONDS = 1
TIMEOUT_SECONDS = 30
CONNECT_SECONDS = 3
UNREADABLE = (KeyError, TypeError, ValueError, struct.error)
DTYPES = {"FP32": "<f4", "BOOL": "?"}


class Client:
    """A predictor at ``url``, asked over the Open Inference Protocol v2; keeps its connections.

    Args:
        model: may be left out where the server has one only.
        host: that is asked for, where ``url`` is a gateway that many hosts share.
        predictor: that is asked, where ``url`` divides its requests among several.

    Raises:
        ConfigError: ``url`` is no address.
    """

    def __init__(self, url: str, model: str = "", host: str = "", predictor: str = "") -> None:
        import httpx

        self._model = model
        headers = {"host": host, PREDICTOR_HEADER: predictor}
        try:
            self._http = httpx.AsyncClient(
                base_url=url,
                headers={name: value for name, value in headers.items() if value},
                timeout=httpx.Timeout(TIMEOUT_SECONDS, connect=CONNECT_SECONDS),
                limits=httpx.Limits(max_connections=256, max_keepalive_connections=64),
            )
        except httpx.InvalidURL as error:
            message = f"{url!r} is no address: {error}; give one like http://127.0.0.1:8080"
            raise ConfigError(message) from error

    async def infer(self, sent: Sent, outputs: Sequence[str] = OUTPUTS) -> Answer:
        """Score one or more image files, which are sent as they are, or a table's rows.

        Raises:
            RequestError: something that was sent is at fault; the message names the index.
            Overloaded: there is no answer now.
        """
        model = await self.name()
        parts = question(sent, outputs)
        headers = {
            HEADER: str(len(parts[0])),
            "content-type": "application/octet-stream",
            "content-length": str(sum(map(len, parts))),
        }
        if event := event_id.get():
            headers[EVENT_HEADER] = event
        response = await self._ask(
            "POST", f"/v2/models/{model}/infer", content=_steps(parts), headers=headers
        )
        try:
            return answered(response.content, int(response.headers[HEADER]))
        except UNREADABLE as error:
            raise _unavailable(f"the predictor answered what cannot be read: {error!r}") from error

    async def ready(self) -> bool:
        """Whether it would answer."""
        try:
            await self._ask("GET", f"/v2/models/{await self.name()}/ready")
        except (RequestError, Overloaded):
            return False
        return True

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def name(self) -> str:
        """The model that is asked.

        Raises:
            Overloaded: the predictor does not answer, or has not exactly one and none was named.
        """
        if not self._model:
            response = await self._ask("GET", "/v2/models")
            try:
                names = list(response.json()["models"])
            except UNREADABLE as error:
                raise _unavailable(f"the predictor answered what cannot be read: {error!r}") from error
            if len(names) != 1:
                raise _unavailable(f"the predictor has the models {names}; name one with --model")
            self._model = str(names[0])
        return self._model

    async def _ask(self, method: str, path: str, **content: Any) -> Any:
        import httpx

        content["headers"] = {"x-request-id": request_id.get()} | content.get("headers", {})
        try:
            response = await self._http.request(method, path, **content)
        except httpx.HTTPError as error:
            raise _unavailable(f"the predictor does not answer: {type(error).__name__}") from error
        if response.is_success:
            return response
        if response.status_code in PASSED_ON:
            raise RequestError(_said(response), response.status_code)
        wait = response.headers.get("retry-after", "")
        message = f"the predictor answered {response.status_code}: {_said(response)}"
        raise _unavailable(message, int(wait) if wait.isdigit() else RETRY_SECONDS)


def predict_local(package: Path, sent: Sent, heatmap: bool, public_key: Path, version: str = "") -> Answer:
    """Score one or more image files, or a table's rows, with a package on this machine.

    Args:
        version: of the model; without it the beginning of the model's digest.

    Raises:
        PackageError: the package is refused.
        ImageError: a file is refused; the message names its index.
        RequestError: a column or a value is refused; the message names it.
    """
    from bonafide.serving.compute.engine import Engine

    engine = Engine(package, public_key)
    info = engine.info
    outputs = ("probabilities", "heatmap") if heatmap else ("probabilities",)
    rows = []
    for index, item in enumerate(items_of(sent, info)):
        try:
            rows.append(engine.score(item, outputs).scores)
        except ImageError as error:
            raise ImageError(error.reason, f"image[{index}]: {error.reason}: {error}") from error
    scores = {name: np.concatenate([row[name] for row in rows]) for name in outputs}
    name = version or info.model_digest[:12]
    return Answer(info.task, name, info.labels, labelled(info, scores)[1], columns=info.columns)


def predict_remote(url: str, sent: Sent, model: str | None, heatmap: bool) -> Answer:
    """Score one or more image files, or a table's rows, with the server at ``url``, e.g. ``http://127.0.0.1:8080``.

    Args:
        model: its name; may be None where the server has one only.

    Raises:
        BonafideError: no answer, a refusal (its reason is told) or an answer unlike a Bonafide predictor's.
    """

    async def ask() -> list[Answer]:
        client = Client(url, model or "")
        try:
            outputs = (*OUTPUTS, "heatmap") if heatmap else OUTPUTS
            return [await client.infer(batch, outputs) for batch in _batches(sent)]
        finally:
            await client.close()

    try:
        answers = asyncio.run(ask())
    except (RequestError, Overloaded) as error:
        advice = "check --url, or start a server with 'bonafide serve PACKAGE'"
        raise BonafideError(f"{url}: {error}" + (f"; {advice}" * isinstance(error, Overloaded))) from error
    first = answers[0]
    outputs = {name: np.concatenate([each.outputs[name] for each in answers]) for name in first.outputs}
    return replace(first, outputs=outputs)


def _batches(sent: Sent) -> Iterator[Sent]:
    if isinstance(sent, Mapping):
        yield sent
        return
    batch: list[File] = []
    for image in sent:
        if batch and (len(batch) == BATCH or sum(map(len, batch)) + len(image) > BATCH_BYTES):
            yield batch
            batch = []
        batch.append(image)
    if batch:
        yield batch


def question(sent: Sent, outputs: Sequence[str]) -> list[File]:
    """The body of a request: the JSON, whose length ``HEADER`` tells, then the tensors.

    They are one of images, each behind its length, or one for each column, so that names tell them apart.
    """
    inputs, contents = _columns(sent) if isinstance(sent, Mapping) else _images(sent)
    wanted = [{"name": name, "parameters": {"binary_data": True}} for name in outputs]
    return [json.dumps({"inputs": inputs, "outputs": wanted}).encode(), *contents]


def _images(images: Sequence[File]) -> tuple[list[dict[str, Any]], list[File]]:
    contents: list[File] = []
    for image in images:
        contents += (struct.pack("<I", len(image)), image)
    return [_tensor("image", [len(images)], "BYTES", sum(map(len, contents)))], contents


def _columns(columns: Columns) -> tuple[list[dict[str, Any]], list[File]]:
    contents: list[File] = [single(values).astype("<f4", copy=False).tobytes() for values in columns.values()]
    told = zip(columns.items(), contents, strict=True)
    return [_tensor(name, [*values.shape], "FP32", len(raw)) for (name, values), raw in told], contents


def _tensor(name: str, shape: list[int], datatype: str, size: int) -> dict[str, Any]:
    parameters = {"binary_data_size": size}
    return {"name": name, "shape": shape, "datatype": datatype, "parameters": parameters}


async def _steps(parts: Sequence[File]) -> AsyncIterator[bytes]:
    """A small request at once, a large one in steps, so that it is not there a second time."""
    if sum(map(len, parts)) <= STEP:
        yield b"".join(parts)
        return
    for part in parts:
        for begin in range(0, len(part), STEP):
            yield bytes(part[begin : begin + STEP])


def answered(body: bytes, position: int) -> Answer:
    """What a response says, whose JSON ends at ``position``.

    Raises:
        KeyError, TypeError, ValueError, struct.error: it is no answer of a Bonafide predictor.
    """
    content = json.loads(body[:position])
    outputs: dict[str, Array] = {}
    for tensor in content["outputs"]:
        begin, position = position, position + tensor["parameters"]["binary_data_size"]
        outputs[tensor["name"]] = _array(tensor, body[begin:position])
    told = content["parameters"]
    labels, columns = (tuple(json.loads(names)) for names in (told["labels"], told.get("columns", "[]")))
    return Answer(content["model_name"], told["model_version"], labels, outputs, columns=columns)


def _array(tensor: dict[str, Any], raw: bytes) -> Array:
    if tensor["datatype"] != "BYTES":
        return np.frombuffer(raw, DTYPES[tensor["datatype"]]).reshape(tensor["shape"])
    names, position = [], 0
    while position < len(raw):
        (length,) = struct.unpack_from("<I", raw, position)
        position += 4 + length
        names.append(raw[position - length : position])
    return np.array(names, dtype=object)


def _unavailable(message: str, retry_after: int = RETRY_SECONDS) -> Overloaded:
    return Overloaded(message, retry_after, "predictor")


def _said(response: Any) -> str:
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return str(response.reason_phrase)
