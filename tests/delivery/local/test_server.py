"""The command as a process, its predictors and its samples."""

import signal
import threading
import time
from collections import Counter

import httpx

from tests.delivery.local.conftest import PATIENCE_SECONDS, ask


class Load:
    """Clients that ask without a pause until the block ends."""

    def __init__(self, url: str, clients: int = 3) -> None:
        self.statuses: Counter[int | str] = Counter()
        self.predictors: Counter[str] = Counter()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(url,)) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)

    def wait_for(self, name: str) -> None:
        known = self.predictors[name]
        until(lambda: self.predictors[name] > known + 20)

    def _ask(self, url: str) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            while not self._stopped.is_set():
                try:
                    answer = ask(client)
                except httpx.HTTPError as error:
                    self.statuses[repr(error)] += 1
                    return
                self.statuses[answer.status_code] += 1
                self.predictors[answer.headers["x-bonafide-predictor"]] += 1


def until(condition):
    patience = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.05)


def test_no_request_is_lost_while_a_canary_climbs_and_takes_over(delivered, deliver):
    delivered.write("1")
    running = deliver()
    assert running.said() == "v1 100 %"
    with Load(running.url) as load:
        load.wait_for("v1")
        delivered.write("1", v2=50)
        running.wait_for("v1 50 %, v2 50 %")
        load.wait_for("v2")
        delivered.write("2")
        running.wait_for("v2 100 %")
        load.wait_for("v2")
        delivered.write("3")
        running.wait_for("v3 100 %")
        load.wait_for("v3")
    assert set(load.statuses) == {200}, load.statuses
    assert set(load.predictors) == {"v1", "v2", "v3"}
    until(lambda: len(running.children()) == 1)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(PATIENCE_SECONDS) == 0
