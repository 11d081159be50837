"""Whom simulated traffic asks: a predictor, or the service API in front of it."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol
from uuid import uuid4

import httpx

from bonafide.errors import BonafideError, ConfigError
from bonafide.serving.client import HEADER, OUTPUTS, UNREADABLE, Client, answered, question
from bonafide.serving.edge.ids import EVENT_HEADER, PREDICTOR_HEADER
from bonafide.serving.errors import Overloaded, RequestError
from bonafide.serving.sent import Sent

Api = Literal["v2", "service"]

UNNAMED, UNANSWERED = "–", "no answer"
TIMEOUT = httpx.Timeout(30, connect=3, pool=None)
TOKEN = "BONAFIDE_API_TOKEN"  # noqa: S105  (the variable's name)


@dataclass(frozen=True)
class Server:
    """Who is asked.

    Attributes:
        api: ``v2`` for the Open Inference Protocol, ``service`` for Bonafide's service API.
        model: of ``v2``; may be empty where the server has one only.
        token: of ``service``; empty where it asks for none.
    """

    url: str
    api: Api = "v2"
    model: str = ""
    token: str = field(default="", repr=False)


class Reply(NamedTuple):
    """What came of a request: without ``seconds`` it failed, without ``status`` nobody answered.

    ``predictor`` is what the server calls whoever answered; of the service API, which does not tell, it is
    the model's version. ``prediction`` is the id by which the answer is kept, where it is. ``labels`` are all
    of the model.
    """

    predictor: str
    status: int | None = None
    seconds: float | None = None
    label: str = ""
    confidence: float | None = None
    version: str = ""
    prediction: str = ""
    labels: tuple[str, ...] = ()


class Endpoint(Protocol):
    """One way of asking about an image or a row."""

    async def send(self, sent: Sent) -> httpx.Response:
        """Send the request."""

    def read(self, response: httpx.Response) -> Reply:
        """What a good answer says, without ``status`` and ``seconds``; UNREADABLE where it says nothing."""


class V2:
    """Each request has an id of its own, by which KServe's logger and the collector call it."""

    def __init__(self, http: httpx.AsyncClient, model: str) -> None:
        self._http = http
        self._path = f"/v2/models/{model}/infer"

    async def send(self, sent: Sent) -> httpx.Response:
        """Send binary tensors."""
        parts = question(sent, OUTPUTS)
        headers = {
            HEADER: str(len(parts[0])),
            "content-type": "application/octet-stream",
            EVENT_HEADER: uuid4().hex,
        }
        return await self._http.post(self._path, content=b"".join(parts), headers=headers)

    def read(self, response: httpx.Response) -> Reply:
        """Read binary tensors."""
        told = answered(response.content, int(response.headers[HEADER]))
        [label], [shares] = told.names, told.probabilities.tolist()
        return Reply(
            response.headers.get(PREDICTOR_HEADER, UNNAMED),
            label=label,
            confidence=shares[told.labels.index(label)],
            version=told.version,
            prediction=response.request.headers[EVENT_HEADER],
            labels=told.labels,
        )


class Service:
    """``POST /predict`` of the service API."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def send(self, sent: Sent) -> httpx.Response:
        """Send an image as a form's file, or a row as JSON."""
        if isinstance(sent, Mapping):
            row = {name: float(str(values[0])) for name, values in sent.items()}  # 0.7, not 0.69999999
            return await self._http.post("/predict", json=row)
        return await self._http.post("/predict", files={"image": ("image", bytes(sent[0]))})

    def read(self, response: httpx.Response) -> Reply:
        """Read a verdict."""
        told = response.json()
        return Reply(
            str(told["version"]),
            label=str(told["label"]),
            confidence=float(told["confidence"]),
            version=str(told["version"]),
            prediction=str(told.get("prediction_id") or ""),
            labels=tuple(told["probabilities"]),
        )


async def ask(endpoint: Endpoint, sent: Sent) -> Reply:
    """Ask about an image or a row; what goes wrong is a reply too."""
    begun = time.perf_counter()
    try:
        response = await endpoint.send(sent)
    except httpx.HTTPError:
        return Reply(UNANSWERED)
    seconds, status = time.perf_counter() - begun, response.status_code
    try:
        if response.is_success:
            return endpoint.read(response)._replace(status=status, seconds=seconds)
    except UNREADABLE:
        pass
    return Reply(response.headers.get(PREDICTOR_HEADER, UNNAMED), status)


@asynccontextmanager
async def opened(server: Server, at_once: int) -> AsyncIterator[Endpoint]:
    """The way to ask ``server``, with that many connections.

    Raises:
        BonafideError: its address is none, it does not say which model it has, or does not let us in.
    """
    async with connected(server.url, server.token if server.api == "service" else "", at_once) as http:
        if server.api == "v2":
            yield V2(http, await _name(server))
        else:
            await knock(http, "/predict", "start one: bonafide api")
            yield Service(http)


@asynccontextmanager
async def connected(url: str, token: str, at_once: int) -> AsyncIterator[httpx.AsyncClient]:
    """Connections to ``url``, which show the token.

    Raises:
        ConfigError: it is no address.
    """
    headers = {"authorization": f"Bearer {token}"} if token else {}
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    try:
        http = httpx.AsyncClient(base_url=url, timeout=TIMEOUT, limits=limits, headers=headers)
    except httpx.InvalidURL as error:
        raise ConfigError(f"{url!r} is no address: {error}; give one like http://127.0.0.1:8000") from error
    async with http:
        yield http


async def knock(http: httpx.AsyncClient, path: str, advice: str) -> None:
    """Ask a path of a service API for nothing, to hear whether it is there and lets us in.

    Raises:
        BonafideError: it is not, or does not.
    """
    try:
        response = await http.post(path, json={})
    except httpx.HTTPError as error:
        raise BonafideError(f"{http.base_url} does not answer: {type(error).__name__}; {advice}") from error
    if response.status_code in (401, 403):
        advice = f"give a token with the scope {path[1:]} in ${TOKEN}"
    if response.status_code in (401, 403, 404, 405):
        raise BonafideError(f"{http.base_url} refuses {path}: {refusal(response)}; {advice}")


def refusal(response: httpx.Response) -> str:
    """The status, and why, as far as the answer says."""
    try:
        return f"{response.status_code}, {response.json()['detail']}"
    except UNREADABLE:
        return f"{response.status_code} {response.reason_phrase}"


async def _name(server: Server) -> str:
    client = Client(server.url, server.model)
    try:
        return await client.name()
    except (RequestError, Overloaded) as error:
        raise BonafideError(
            f"{server.url}: {error}; start a server: bonafide deliver --local; "
            "or say --api service, if it is the service API"
        ) from error
    finally:
        await client.close()
