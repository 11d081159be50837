"""A process that stores predictions is killed again and again: what it accepted is there, once."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from bonafide.data.looks import looks
from bonafide.feedback.spool import Spool
from bonafide.feedback.store import Store
from bonafide.feedback.writer import Writer

pytestmark = pytest.mark.e2e

ENOUGH = 20_000
CHILD = """
import sys, time
from pathlib import Path
from bonafide.data.looks import looks
from bonafide.feedback.spool import Spool
from bonafide.feedback.store import Store
from bonafide.feedback.writer import Writer
from tests import packages
from tests.feedback.conftest import prediction

class Told(Spool):
    def append(self, batch):
        super().append(batch)
        sys.stdout.write("".join(f"{each.id}\\n" for each in batch))
        sys.stdout.flush()

address, folder, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
image = packages.image((255, 0, 0), 40, "JPEG")
writer = Writer(Store(address), Told(folder), looks)
writer.start()
while True:
    for _ in range(20):
        writer.put(prediction(number), image)
        number += 1
    time.sleep(0.01)
"""


@contextmanager
def storing(address, folder, number, accepted):
    """A child that stores predictions from ``number`` on and is killed; what it accepted is told."""
    with open(accepted, "w") as told:
        command = [sys.executable, "-c", CHILD, address, str(folder), str(number)]
        child = subprocess.Popen(command, stdout=told, env=os.environ)
        try:
            yield
            assert child.poll() is None
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()


def lines(path):
    """Whole lines: a kill may have cut the last."""
    return [line.rstrip("\n") for line in path.open() if line.endswith("\n")]


def until(true, seconds=120):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def drain(address, folder):
    """Another life, which takes all that earlier ones left."""
    writer = Writer(Store(address), Spool(folder), looks)
    writer.start()
    until(lambda: not Spool(folder).waiting())
    writer.close()


def check(address, accepted):
    store = Store(address)
    missing = [each for each in accepted if store.find(each) is None]
    assert len(accepted) == len(set(accepted)) >= ENOUGH
    assert missing == []
    assert store.count() >= len(accepted)  # a batch may be safe and not be told, if the kill comes in between
    store.database.close()


def test_killed_in_the_middle_again_and_again(tmp_path, postgresql):
    postgresql.execute("CREATE DATABASE killed")
    for kind, address in (
        ("sqlite", f"sqlite:///{tmp_path}/store.db"),
        ("postgresql", postgresql.address("killed")),
    ):
        Store(address).database.migrate()
        folder, chance, accepted = tmp_path / kind, random.Random(1), []
        for life in range(1000):
            told = tmp_path / f"{kind}-{life}"
            with storing(address, folder, life * 1_000_000, told):
                until(lambda told=told: lines(told))
                time.sleep(chance.uniform(0.1, 3))
            accepted += lines(told)
            if len(accepted) >= ENOUGH:
                break
        drain(address, folder)
        check(address, accepted)


def test_killed_with_a_full_spool(tmp_path):
    from tests import postgres_server

    with postgres_server.serving() as server:
        server.execute("CREATE DATABASE killed")
        address, folder = server.address("killed"), tmp_path / "spool"
        Store(address).database.migrate()
        server.stop()
        accepted = []
        for life in range(2):
            told = tmp_path / str(life)
            with storing(address, folder, life * 1_000_000, told):
                until(lambda told=told: len(lines(told)) >= ENOUGH // 2)
            accepted += lines(told)
        assert Spool(folder).waiting()
        server.start()
        assert Store(address).count() == 0
        drain(address, folder)
        check(address, accepted)
