"""The front before servers of the test's own: what passes, what does not, and who is asked."""

import asyncio
import threading
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from random import Random
from types import SimpleNamespace

import httpx
import pytest

from bonafide.delivery.current import InService
from bonafide.delivery.local.fleet import Split
from bonafide.delivery.local.front import create_app
from bonafide.delivery.local.predictor import Predictor
from bonafide.serving.edge.limits import Limits
from tests import http_server
from tests.patience import until_async

DEFAULT = Limits()


@contextmanager
def answering(status=200, headers=(), content=b"{}", wait=None):
    """A server, and the requests that it got: method, path, headers, body."""
    got = []

    class Handler(http_server.Handler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            got.append((self.command, self.path, self.headers, self.body()))
            if wait:
                wait.wait(30)
            self.reply(status, dict(headers), content)

    with http_server.serving(Handler) as url:
        yield url, got


def running(name, url):
    predictor = Predictor(name, InService("pets", name[1:], ""), None, lambda: None)
    predictor.url = url
    return predictor


@asynccontextmanager
async def front(stable, *canaries, limits=DEFAULT, sticky=False):
    """A client of a front before these predictors."""
    split = Split(stable, canaries)
    every = [each for each in (stable, *(predictor for predictor, _ in canaries)) if each]
    fleet = SimpleNamespace(split=split, find=lambda name: next((p for p in every if p.name == name), None))
    app = create_app(fleet, limits, sticky)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://front") as client:
        yield client
    for predictor in every:
        await predictor.http.aclose()


def test_a_request_and_its_answer_pass_unchanged():
    async def ask(url):
        async with front(running("v1", url)) as client:
            return await client.post(
                "/v2/a%2Fb/infer?x=%20y&z",
                content=b"\x00\xff" * 50_000,
                headers=[
                    ("X-Own", "1"),
                    ("X-Own", "2"),
                    ("Connection", "x-hop"),
                    ("X-Hop", "1"),
                    ("TE", "gzip"),
                ],
            )

    headers = {"X-Theirs": "3", "Content-Type": "application/odd", "Connection": "close", "Keep-Alive": "1"}
    with answering(418, headers, b"\x01" * 300_000) as (url, got):
        answer = asyncio.run(ask(url))
    [(method, path, asked, body)] = got
    assert (method, path, body) == ("POST", "/v2/a%2Fb/infer?x=%20y&z", b"\x00\xff" * 50_000)
    assert asked.get_all("x-own") == ["1", "2"]
    assert asked["accept-encoding"] == "gzip, deflate"  # the client's own
    assert not {"x-hop", "te"} & {name.lower() for name in asked}
    assert (answer.status_code, answer.content) == (418, b"\x01" * 300_000)
    assert answer.headers["x-theirs"] == "3"
    assert answer.headers["content-type"] == "application/odd"
    assert answer.headers["x-bonafide-predictor"] == "v1"
    assert "keep-alive" not in answer.headers


def test_compressed_bodies_stay_compressed():
    async def ask(url):
        async with front(running("v1", url)) as client:
            headers = {"content-encoding": "gzip", "accept-encoding": "identity"}
            return await client.post("/", content=b"as it is", headers=headers)

    with answering() as (url, got):
        asyncio.run(ask(url))
    [(_, _, asked, body)] = got
    assert (body, asked["content-encoding"], asked["accept-encoding"]) == (b"as it is", "gzip", "identity")


def test_no_canary_gets_more_than_its_part():
    one, two, three = (SimpleNamespace(name=name) for name in ("v1", "v2", "v3"))
    random = Random(1)
    split = Split(one, ((two, 10), (three, 0)))
    found = Counter(split.choose(random.random()).name for _ in range(10_000))
    assert found["v2"] == pytest.approx(1000, abs=150)
    assert set(found) == {"v1", "v2"}
    assert split.percents() == {"v1": 90, "v2": 10, "v3": 0}
    assert [Split(one, ((two, 10),)).choose(share).name for share in (0, 0.0999, 0.1, 0.9999)] == [
        "v2",
        "v2",
        "v1",
        "v1",
    ]
    assert Split(None, ((two, 10),)).choose(0.5) is None
    assert Split(one, ((two, 100),)).choose(0.999999).name == "v2"


def test_without_a_stable_predictor_its_part_is_told_to_come_again():
    async def ask(url):
        async with front(None, (running("v2", url), 50)) as client:
            return [await client.get("/") for _ in range(60)]

    with answering() as (url, _):
        answers = asyncio.run(ask(url))
    assert {answer.status_code for answer in answers} == {200, 503}
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.headers["retry-after"] == "1"
    assert refused.json() == {"error": "the stable predictor is not ready"}


def test_one_that_does_not_answer_is_told():
    async def ask():
        async with front(running("v1", "http://127.0.0.1:9")) as client:
            return await client.get("/")

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json() == {"error": "predictor v1 does not answer: ConnectError"}


def test_a_body_has_the_limits_of_a_predictor():
    async def ask(url):
        async with front(running("v1", url), limits=Limits(body=1000)) as client:
            declared = await client.post("/", content=b"0" * 1001)

            async def parts():
                for _ in range(3):
                    yield b"0" * 400

            return declared, await client.post("/", content=parts())

    with answering() as (url, got):
        for answer in asyncio.run(ask(url)):
            assert answer.status_code == 413
            assert "larger than 1,000 bytes" in answer.json()["error"]
    assert not got


def test_all_requests_together_hold_so_much_only():
    go = threading.Event()

    async def ask(url):
        async with front(running("v1", url), limits=Limits(held=1500)) as client:
            first = asyncio.create_task(client.post("/", content=b"0" * 1000))
            await until_async(lambda: got)
            second = await client.post("/", content=b"0" * 1000)
            go.set()
            return (await first).status_code, second

    with answering(wait=go) as (url, got):
        first, second = asyncio.run(ask(url))
    assert first == 200
    assert (second.status_code, second.headers["retry-after"]) == (503, "1")


def test_a_predictor_is_stopped_after_its_requests():
    go = threading.Event()

    async def ask(url):
        predictor = running("v1", url)
        async with front(predictor) as client:
            asked = asyncio.create_task(client.get("/"))
            await until_async(lambda: got)
            stopping = asyncio.create_task(predictor.stop())
            await asyncio.sleep(0.2)
            assert not stopping.done()
            go.set()
            await stopping
            return (await asked).status_code

    with answering(wait=go) as (url, got):
        assert asyncio.run(ask(url)) == 200


@pytest.mark.e2e
def test_an_id_stays_with_its_predictor_and_ids_are_divided():
    async def ask(one, two):
        async with front(running("v1", one), (running("v2", two), 30), sticky=True) as client:

            async def asked(number):
                answer = await client.get("/", headers={"x-request-id": str(number)})
                return answer.headers["x-bonafide-predictor"]

            first = [await asked(number) for number in range(200)]
            assert [await asked(number) for number in range(200)] == first
            return first.count("v2")

    with answering() as (one, _), answering() as (two, _):
        assert asyncio.run(ask(one, two)) == pytest.approx(60, abs=30)
