"""One predictor as a process of the test's own."""

import asyncio
import os
import signal
from pathlib import Path

import httpx
import pytest

from bonafide.delivery.current import InService
from bonafide.delivery.local import predictor as module
from bonafide.delivery.local.predictor import Predictor
from tests.patience import until_async


def children() -> set[int]:
    found = Path("/proc/self/task", str(os.getpid()), "children").read_text()
    return set(map(int, found.split()))


@pytest.mark.e2e
def test_one_that_hangs_is_killed_and_started_again(signed, monkeypatch, caplog):
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.1)
    monkeypatch.setattr(module, "PROBE_TIMEOUT", 1.0)

    async def run():
        changes = []
        served = InService("colour", "7", signed.path.as_uri())
        predictor = Predictor("v7", served, signed.public_key, lambda: changes.append(predictor.ready))
        before = children()
        predictor.start()
        await until_async(lambda: predictor.ready)
        first, [process] = predictor.pod, children() - before
        os.kill(process, signal.SIGSTOP)
        await until_async(lambda: predictor.ready and predictor.pod != first)
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{predictor.url}/v2/models/colour")
        assert answer.json()["versions"] == ["7"]
        await predictor.stop()
        assert changes == [True, False, True, False]
        assert not predictor.ready
        assert not children() - before

    asyncio.run(run())
    told = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert told == ["a predictor does not answer", "a predictor does not run"]


def test_a_package_that_is_gone_is_tried_again_and_told_once(tmp_path, signed, monkeypatch, caplog):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)

    async def run():
        served = InService("colour", "7", (tmp_path / "later").as_uri())
        predictor = Predictor("v7", served, signed.public_key, lambda: None)
        predictor.start()
        await until_async(lambda: "a predictor does not run" in caplog.text)
        (tmp_path / "later").symlink_to(signed.path)
        await until_async(lambda: predictor.ready)
        await predictor.stop()

    asyncio.run(run())
    [told] = [record for record in caplog.records if record.message == "a predictor does not run"]
    assert "later" in told.reason


@pytest.mark.parametrize("begun", [False, True])
def test_it_can_be_stopped_before_it_is_ready(signed, begun):
    async def run():
        before = children()
        served = InService("colour", "7", signed.path.as_uri())
        predictor = Predictor("v7", served, signed.public_key, lambda: None)
        predictor.start()
        if begun:
            await until_async(lambda: children() - before)
        await predictor.stop()
        assert not children() - before

    asyncio.run(run())
