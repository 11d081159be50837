import asyncio
import functools
import re
import time
from types import SimpleNamespace

import pytest
from limits.errors import StorageError
from starlette.testclient import TestClient

from bonafide.errors import ConfigError
from bonafide.serving.api import tokens
from bonafide.serving.api.app import create_app
from bonafide.serving.api.rates import QUOTA_EXCEEDED, Rates
from bonafide.serving.api.settings import Settings
from bonafide.telemetry import metrics
from tests.serving.api.conftest import RED, problem

TOKENS = {"secret": "s" * 32, "issuer": "me", "audience": "us"}


@pytest.fixture
def clock(monkeypatch):
    """Moves the time that requests are counted by."""
    now = [time.time()]
    monkeypatch.setattr(time, "time", lambda: now[0])

    def advance(seconds):
        now[0] += seconds

    return advance


@functools.cache
def token(subject):
    return tokens.development_token(Settings(**TOKENS), subject, tokens.SCOPES, 1)


def ask(client, subject=None, images=1):
    headers = {}
    if subject:
        headers = {"authorization": f"Bearer {token(subject)}"}
    if images > 1:
        return client.post("/predict/batch", files=[("images", RED)] * images, headers=headers)
    return client.post("/predict", files={"image": RED}, headers=headers)


def limited(response, by):
    body = problem(response, 429)
    assert body["type"] == QUOTA_EXCEEDED
    assert body["violated-policies"] == [by]
    return int(response.headers["retry-after"])


def test_an_address_has_its_limit_in_a_sliding_window(serve, clock):
    client = serve(address_rate="3/minute")
    for remaining in (2, 1, 0):
        response = ask(client)
        assert response.status_code == 200
        assert response.headers["ratelimit-policy"] == '"address";q=3;w=60'
        told = re.fullmatch(r'"address";r=(\d);t=(\d+)', response.headers["ratelimit"])
        assert int(told[1]) == remaining
        assert 0 < int(told[2]) <= 60
    before = metrics.API_LIMITED.labels("address")._value.get()
    refused = ask(client)
    assert 0 < limited(refused, "address") <= 60
    assert refused.headers["ratelimit"].startswith('"address";r=0;t=')
    assert metrics.API_LIMITED.labels("address")._value.get() == before + 1
    clock(limited(ask(client), "address") + 1)
    assert ask(client).status_code == 200, "a part of the last window has left"
    clock(121)
    assert [ask(client).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_a_caller_costs_two_counters_however_often_it_asks():
    rates = Rates(Settings(address_rate="5000/minute"))
    request = SimpleNamespace(scope={"state": {}})

    async def ask():
        for _ in range(1000):
            await rates.take(request, "address", "192.0.2.1")

    asyncio.run(ask())
    storage = rates._limiter.storage
    assert len(storage.storage) <= 2
    assert not storage.events


def test_who_shows_no_good_token_makes_no_key_of_a_subject(serve, clock):
    client = serve(**TOKENS)
    problem(client.post("/predict", headers={"authorization": "Bearer x"}), 401)
    problem(client.post("/predict"), 401)
    assert ask(client, "anna").headers["ratelimit"].startswith('"address";r=1197;')


def test_a_check_makes_no_key():
    rates = Rates(Settings())

    async def ask():
        for number in range(1000):
            await rates.check(SimpleNamespace(scope={"state": {}}), "address", str(number))

    asyncio.run(ask())
    assert not rates._limiter.storage.storage


@pytest.mark.parametrize("storage", ["nosuch://me:s3cret@host", "redis+x://:s3cret@host"])
def test_a_password_is_not_told(local, storage, capsys):
    upstream = local()
    settings = Settings(rate_storage=storage)
    with pytest.raises(ConfigError, match="rate storage") as refusal:
        create_app(upstream, settings)
    assert "s3cret" not in f"{refusal.value}{settings!r}{refusal.value.__cause__}"


def test_a_subject_has_its_limit_wherever_it_asks_from(serve, clock):
    client = serve(subject_rate="2/minute", **TOKENS)
    told = re.sub(r"t=\d+", "t=…", ask(client, "anna").headers["ratelimit"])
    assert told == '"address";r=1199;t=…, "subject";r=1;t=…'
    assert ask(client, "anna").status_code == 200
    assert 0 < limited(ask(client, "anna"), "subject") <= 60
    assert ask(client, "bert").status_code == 200


def test_guessing_tokens_is_limited_too(serve, clock):
    client = serve(address_rate="2/minute", **TOKENS)
    for _ in range(2):
        problem(client.post("/predict", headers={"authorization": "Bearer x"}), 401)
    limited(client.post("/predict", headers={"authorization": "Bearer x"}), "address")
    limited(ask(client, "anna"), "address")


def test_a_batch_counts_its_images(serve, clock):
    client = serve(subject_rate="5/minute", **TOKENS)
    assert ask(client, "anna", images=4).status_code == 200
    limited(ask(client, "anna", images=2), "subject")
    clock(121)
    assert ask(client, "anna", images=5).status_code == 200


def test_a_batch_that_never_fits_is_told_so(serve, clock):
    client = serve(address_rate="5/minute")
    for images in (6, 7):
        body = problem(ask(client, images=images), 413)
        assert f"{images} images at once are more than the limit" in body["detail"]


@pytest.mark.parametrize(
    ("addresses", "statuses"),
    [
        (("192.0.2.1", "192.0.2.1"), [200, 429]),
        (("192.0.2.1", "192.0.2.2"), [200, 200]),
        (("2001:db8::1", "2001:db8::ffff:2"), [200, 429]),
        (("2001:db8::1", "2001:db8:0:1::1"), [200, 200]),
        (("::ffff:192.0.2.1", "::ffff:192.0.2.2"), [200, 200]),
        (("::ffff:192.0.2.1", "192.0.2.1"), [200, 429]),
        (("testclient", "testclient"), [200, 429]),
    ],
)
def test_a_caller_is_an_address_or_a_network_of_ipv6(serve, clock, addresses, statuses):
    app = serve(address_rate="1/minute").app
    clients = [TestClient(app, client=(address, 1)) for address in addresses]
    assert [ask(client).status_code for client in clients] == statuses


def test_health_and_metrics_are_not_counted(serve):
    client = serve(address_rate="1/minute")
    assert [client.get("/health").status_code for _ in range(3)] == [200] * 3
    assert "ratelimit" not in client.get("/health").headers


def test_the_header_does_not_say_where_one_comes_from(serve, clock):
    client = serve(address_rate="1/minute")
    assert ask(client).status_code == 200
    spoofed = client.post("/predict", files={"image": RED}, headers={"x-forwarded-for": "198.51.100.7"})
    limited(spoofed, "address")


def test_a_storage_that_fails_lets_requests_through(serve, monkeypatch, caplog):
    async def fail(*_, **__):
        raise StorageError(OSError("away"))

    client = serve(address_rate="1/minute")
    monkeypatch.setattr("limits.aio.strategies.SlidingWindowCounterRateLimiter.hit", fail)
    assert [ask(client).status_code for _ in range(2)] == [200, 200]
    assert "requests are not counted" in caplog.text


@pytest.mark.parametrize("storage", ["nosuch://host", "memory", ""])
def test_an_unknown_storage_is_refused(local, storage):
    upstream = local()
    with pytest.raises(ConfigError, match=re.escape(f"rate storage {storage!r}")):
        create_app(upstream, Settings(rate_storage=storage))
