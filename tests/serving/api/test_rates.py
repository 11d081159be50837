import asyncio
import functools
import time
import traceback
from types import SimpleNamespace

import limits
import pytest
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from starlette.requests import Request
from starlette.testclient import TestClient

from bonafide.errors import ConfigError
from bonafide.serving.api import rates, tokens
from bonafide.serving.api.app import create_app
from bonafide.serving.api.rates import QUOTA_EXCEEDED, Recent
from bonafide.serving.api.settings import Settings
from bonafide.telemetry import metrics
from tests.packages import TOPIC
from tests.serving.api.conftest import RED, problem

TOKENS = {"secret": "s" * 32, "issuer": "me", "audience": "us"}


@pytest.fixture
def clock(monkeypatch):
    """Moves the time that requests are counted by; a minute has just begun."""
    now = [time.time() // 60 * 60 + 0.5]
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
    for remaining, wait in ((2, 60), (1, 50), (0, 40)):
        response = ask(client)
        assert response.status_code == 200
        assert response.headers["ratelimit-policy"] == '"address";q=3;w=60'
        assert response.headers["ratelimit"] == f'"address";r={remaining};t={wait}'
        clock(10)
    before = metrics.API_LIMITED.labels("address")._value.get()
    response = ask(client)
    assert limited(response, "address") == 30
    assert response.headers["ratelimit"] == '"address";r=0;t=30'
    assert metrics.API_LIMITED.labels("address")._value.get() == before + 1
    clock(29)
    assert limited(ask(client), "address") == 1
    clock(1)
    assert ask(client).status_code == 200, "of the last minute's three, a part has left the window"
    assert limited(ask(client), "address") == 20


def test_who_waits_as_long_as_he_is_told_is_let_in(serve, clock):
    client = serve(address_rate="7/minute")
    for _ in range(60):
        response = ask(client)
        clock(limited(response, "address") if response.status_code == 429 else 1.7)
        if response.status_code == 429:
            assert ask(client).status_code == 200


def test_as_many_remain_as_are_said_to(serve, clock):
    client = serve(address_rate="9/minute")
    for _ in range(9):
        ask(client)
    clock(83)
    left = int(ask(client).headers["ratelimit"].split("r=")[1].split(";")[0])
    assert 0 < left < 9
    assert [ask(client).status_code for _ in range(left + 1)] == [200] * left + [429]


def test_a_subject_has_its_limit_wherever_it_asks_from(serve, clock):
    client = serve(subject_rate="2/minute", **TOKENS)
    assert ask(client, "anna").headers["ratelimit"] == '"subject";r=1;t=60, "address";r=1199;t=60'
    assert ask(client, "anna").status_code == 200
    assert limited(ask(client, "anna"), "subject") == 60
    assert ask(client, "bert").status_code == 200


def test_what_a_subject_is_refused_costs_others_of_its_address_nothing(serve, clock):
    client = serve(subject_rate="2/minute", address_rate="4/minute", **TOKENS)
    assert [ask(client, "anna").status_code for _ in range(4)] == [200, 200, 429, 429]
    assert [ask(client, "bert").status_code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("forged", ["x" * 30_000, "203.0.113.7, nonsense", ""])
def test_an_address_that_is_none_is_counted_as_unknown(forged):
    scope = {"type": "http", "client": (forged, 1), "headers": []}
    assert rates.address(Request(scope)) == "unknown"


def test_guessing_tokens_is_limited_too(serve, clock):
    client = serve(address_rate="2/minute", **TOKENS)
    problem(client.post("/predict"), 401)
    problem(client.post("/predict", headers={"authorization": "Bearer x"}), 401)
    assert limited(client.post("/predict", headers={"authorization": "Bearer x"}), "address") == 60
    limited(ask(client, "anna"), "address")


def test_who_has_no_good_token_takes_nothing_from_those_who_have(serve, clock):
    client = serve(address_rate="2/minute", **TOKENS)
    problem(client.post("/predict"), 401)
    assert '"address";r=1;' in ask(client, "anna").headers["ratelimit"]
    assert ask(client, "anna").status_code == 200
    limited(ask(client, "anna"), "address")


def test_a_token_of_another_scope_counts(serve, clock):
    client = serve(subject_rate="1/minute", **TOKENS)
    narrow = tokens.development_token(Settings(**TOKENS), "anna", ["batch"], 1)
    headers = {"authorization": f"Bearer {narrow}"}
    problem(client.post("/predict", headers=headers), 403)
    limited(client.post("/predict", headers=headers), "subject")


@pytest.fixture
def storages(monkeypatch):
    """All that count in memory, as they are made."""
    made = []
    begin = Recent.__init__

    def noted(self, *arguments, **options):
        begin(self, *arguments, **options)
        made.append(self)

    monkeypatch.setattr(Recent, "__init__", noted)
    return made


def entries(storage):
    events = sum(map(len, storage.events.values()))
    return max(len(storage.storage), len(storage.expirations), len(storage.locks), events)


def test_tokens_that_are_made_up_make_no_subjects_and_fill_nothing(serve, clock, storages):
    app = serve(**TOKENS).app
    for number in range(20):
        client = TestClient(app, client=(f"2001:db8:0:{number:x}::1", 1))
        problem(client.post("/predict", headers={"authorization": f"Bearer {token('anna')}{number}"}), 401)
    counted, failures = storages
    assert (entries(counted), entries(failures)) == (0, 20)


def test_counting_keeps_two_entries_a_caller_however_often_he_asks(clock, storages):
    limiter, limit = SlidingWindowCounterRateLimiter(Recent()), limits.parse("1000/minute")

    async def hits():
        for _ in range(5):
            for _ in range(300):
                await limiter.hit(limit, "anna")
            clock(60)

    asyncio.run(hits())
    assert entries(storages[0]) <= 2


def test_a_flood_of_networks_stays_within_its_bound(monkeypatch):
    monkeypatch.setattr(rates, "MOST_KEYS", 5_000)
    counts = rates.Rates(Settings(**TOKENS))

    async def flood():
        for number in range(100_000):
            await counts.check_failures(f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::/64")
            await counts.count_failure(f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::/64")

    asyncio.run(flood())
    assert entries(counts._failures.storage) == 5_000


def test_a_hit_does_not_look_through_all_entries(monkeypatch):
    """The clock is read for what is asked about, not for each key that is held."""
    limiter, limit = SlidingWindowCounterRateLimiter(Recent()), limits.parse("1000/minute")
    reads, real = [], time.time

    def read():
        reads.append(1)
        return real()

    async def cost(held):
        for number in range(held):
            await limiter.hit(limit, str(number))
        reads.clear()
        await limiter.hit(limit, "0")
        await asyncio.sleep(0)
        return len(reads)

    monkeypatch.setattr(time, "time", read)
    assert asyncio.run(cost(10)) == asyncio.run(cost(1_000))


def test_a_batch_counts_its_images(serve, clock):
    client = serve(subject_rate="5/minute", **TOKENS)
    assert ask(client, "anna", images=4).status_code == 200
    limited(ask(client, "anna", images=2), "subject")
    clock(120)
    assert ask(client, "anna", images=5).status_code == 200


def test_a_batch_that_never_fits_is_told_so(serve, clock):
    client = serve(address_rate="5/minute")
    for images in (6, 7):
        body = problem(ask(client, images=images), 413)
        assert f"{images} predictions at once are more than the limit" in body["detail"]


@pytest.mark.parametrize(
    ("addresses", "statuses"),
    [
        (("192.0.2.1", "192.0.2.1"), [200, 429]),
        (("192.0.2.1", "192.0.2.2"), [200, 200]),
        (("2001:db8::1", "2001:db8::ffff:2"), [200, 429]),
        (("2001:db8::1", "2001:db8:0:1::1"), [200, 200]),
        (("::ffff:192.0.2.1", "::ffff:192.0.2.2"), [200, 200]),
        (("::ffff:192.0.2.1", "192.0.2.1"), [200, 429]),
        (("testclient", "another word"), [200, 429]),
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


def test_a_storage_that_fails_lets_requests_through_and_is_left_alone_for_a_while(serve, monkeypatch, caplog):
    asked, now = [], [1000.0]

    async def fail(*_, **__):
        asked.append(now[0])
        raise StorageError(OSError("away"))

    client = serve(address_rate="1/minute")
    monkeypatch.setattr(SlidingWindowCounterRateLimiter, "hit", fail)
    monkeypatch.setattr(rates, "time", SimpleNamespace(monotonic=lambda: now[0], time=time.time))
    for later in (0.0, rates.AWAY_SECONDS - 0.1, 0.2):
        now[0] += later
        assert ask(client).status_code == 200
    assert asked == [1000.0, 1000.1 + rates.AWAY_SECONDS]
    assert "requests are not counted" in caplog.text


@pytest.mark.parametrize(
    "storage",
    [
        "nosuch://:hush@host",
        "redis://:hush@host:port",
        "redis://:hu#hush@host:1",
        "redis+cluster://:hush@host",
        "redis:/:hush@host",
        "redis://",
        "hush@host",
        "memcached://:hush@host:1",
        "memory",
        "",
    ],
)
def test_an_unknown_storage_is_refused_and_its_password_kept(local, storage):
    settings = Settings(rate_storage=storage)
    with pytest.raises(ConfigError, match="no such address") as refused:
        create_app(local(), settings, TOPIC)
    shown = "".join(traceback.format_exception(refused.value)) + repr(settings)
    assert "hush" not in shown.replace('"hush', "")
