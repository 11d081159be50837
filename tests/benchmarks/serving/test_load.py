import asyncio

import numpy as np
import pytest

from benchmarks.serving import load
from benchmarks.serving.load import Order, Run

ANSWER = np.array([[0.25, 0.75]], np.float32)


class Server:
    """Answers one request at a time, each in ``seconds``; the answers in ``wrong`` are wrong."""

    def __init__(self, seconds=0.0, wrong=()):
        self.seconds, self.wrong, self.asked, self.most, self.now = seconds, wrong, 0, 0, 0
        self.free = asyncio.Lock()

    async def ask(self, file):
        number, self.asked, self.now = self.asked, self.asked + 1, self.now + 1
        self.most = max(self.most, self.now)
        try:
            async with self.free:
                await asyncio.sleep(self.seconds)
        finally:
            self.now -= 1
        return 1 - ANSWER[0] if number in self.wrong else ANSWER[0]

    async def close(self):
        pass


def carry_out(tmp_path, monkeypatch, server, **order):
    np.save(tmp_path / "expected.npy", ANSWER)
    (tmp_path / "0.jpg").write_bytes(b"")
    monkeypatch.setattr(load, "connect", lambda *_: server)
    given = Order("", "", str(tmp_path), str(tmp_path / "expected.npy"), **order)

    async def run():
        return await Run(given).carry_out()

    return asyncio.run(run())


def test_open_loop_sends_on_schedule_and_counts_the_queue(tmp_path, monkeypatch):
    server = Server(seconds=0.02)
    outcome = carry_out(tmp_path, monkeypatch, server, seconds=0.5, rate=100.0)
    assert server.asked == 50
    assert server.most > 10  # nobody waited for answers before sending the next
    # Each waits for all before it: the 50th is due at 0.49 s and answered after 50 × 0.02 s.
    assert sorted(outcome.latencies)[-1] >= 0.4


def test_open_loop_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(load, "MOST_OUTSTANDING", 5)
    outcome = carry_out(tmp_path, monkeypatch, Server(seconds=0.05), seconds=0.2, rate=200.0)
    assert outcome.failures["not sent: too many unanswered"] > 10
    assert len(outcome.latencies) + sum(outcome.failures.values()) == 40


def test_closed_loop_has_one_request_a_client(tmp_path, monkeypatch):
    server = Server(seconds=0.005)
    carry_out(tmp_path, monkeypatch, server, seconds=0.2, clients=3)
    assert server.most == 3


def test_closed_loop_ends_at_its_count(tmp_path, monkeypatch):
    server = Server()
    outcome = carry_out(tmp_path, monkeypatch, server, seconds=60, clients=4, count=20)
    assert server.asked == 20
    assert outcome.end - outcome.begin < 60


def test_wrong_answers_and_timeouts_are_failures(tmp_path, monkeypatch):
    monkeypatch.setattr(load, "TIMEOUT_SECONDS", 0.05)
    server = Server(wrong={0, 3})
    outcome = carry_out(tmp_path, monkeypatch, server, seconds=60, clients=1, count=10)
    assert (outcome.failures["wrong answer"], len(outcome.latencies)) == (2, 8)
    outcome = carry_out(tmp_path, monkeypatch, Server(seconds=1), seconds=60, clients=1, count=2)
    assert (outcome.failures["timeout"], outcome.latencies) == (2, [])


@pytest.mark.parametrize(("found", "right"), [([0.2505, 0.75], True), ([0.26, 0.74], False), ([0.25], False)])
def test_an_answer_is_right_to_a_thousandth(found, right):
    assert load.is_right(np.array(found, np.float32), ANSWER[0]) is right
