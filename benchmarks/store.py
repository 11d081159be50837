"""What it costs to store predictions, on SQLite and on PostgreSQL; writes docs/benchmarks/store.md.

Latency: services that differ in the store alone are asked in turn, each request after the answer before it.
The database's address is ``--postgresql``, or a server is started as the tests do, but with ``fsync``.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from statistics import median
from uuid import uuid4

import httpx
import numpy as np
from PIL import Image

from bonafide.cores import available_cores
from bonafide.data.looks import looks
from bonafide.feedback.prediction import Prediction
from bonafide.feedback.spool import Spool
from bonafide.feedback.store import Store
from bonafide.feedback.writer import Writer

PAGE = Path("docs/benchmarks/store.md")
PROMISED_MS, PROMISED_RATE = 0.3, 500
EMBEDDING = 32
TEMPLATE = """# What it costs to store predictions

Written by `make bench-store` on a machine with {cores} cores, which the database shares.

## Added to a request

{requests:,} requests with a photograph of 640 × 480 pixels to each of three services in turn, one at a time:
without a store, and with each. The difference of medians, promised to be below {promised_ms} ms.

| Store | median, ms | 95 %, ms | added to the median, ms | kept |
|---|---|---|---|---|
{latency}

`put` alone, which is what a request waits for, takes {put:.1f} µs.

## Sustained

Predictions with an embedding of {embedding} numbers and an image of 64 × 64 pixels come at {rate} a second
for {seconds:g} seconds. It is kept if none is dropped and all are in the database {grace:g} s after the last.

| Store | predictions | dropped | in the database after, s | kept |
|---|---|---|---|---|
{sustained}
"""
GRACE_SECONDS = 2.0


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--package", default="")
    parser.add_argument("--public-key", default="")
    parser.add_argument("--postgresql", default="")
    parser.add_argument("--out", type=Path, default=PAGE)
    given = parser.parse_args()
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stores = {
            "SQLite": f"sqlite:///{scratch}/store.db",
            "PostgreSQL": given.postgresql or stack.enter_context(_postgresql()),
        }
        for address in stores.values():
            Store(address).database.migrate()
        seconds = _latency(stores, given.requests, _arguments(given), scratch)
        rows = [_sustained(name, address, given.seconds, scratch) for name, address in stores.items()]
        page = TEMPLATE.format(
            cores=available_cores(),
            requests=given.requests,
            promised_ms=PROMISED_MS,
            latency="\n".join(_latency_rows(seconds)),
            put=1e6 * _put(scratch),
            embedding=EMBEDDING,
            rate=PROMISED_RATE,
            seconds=given.seconds,
            grace=GRACE_SECONDS,
            sustained="\n".join(rows),
        )
    given.out.write_text(page)
    print(page)


def _arguments(given: argparse.Namespace) -> list[str]:
    key = ["--public-key", given.public_key] if given.public_key else []
    return [*([given.package] if given.package else []), *key]


def _latency(
    stores: dict[str, str], requests: int, arguments: list[str], scratch: Path
) -> dict[str, list[float]]:
    content = {"content": _photograph(640, 480), "headers": {"content-type": "image/jpeg"}}
    with ExitStack() as stack:
        clients = {}
        for name, address in {"none": "", **stores}.items():
            url = stack.enter_context(_service(arguments, address, scratch / f"spool-{name}"))
            clients[name] = stack.enter_context(httpx.Client(base_url=url, timeout=30))
        seconds: dict[str, list[float]] = {name: [] for name in clients}
        for turn in range(requests + requests // 10):
            for name, client in clients.items():
                begin = time.perf_counter()
                client.post("/predict", **content).raise_for_status()
                if turn >= requests // 10:
                    seconds[name].append(time.perf_counter() - begin)
    return seconds


def _latency_rows(seconds: dict[str, list[float]]) -> Iterator[str]:
    bare = median(seconds["none"])
    for name, values in seconds.items():
        added = 1000 * (median(values) - bare)
        kept = "" if name == "none" else "yes" if added < PROMISED_MS else "**no**"
        tail = 1000 * float(np.quantile(values, 0.95))
        told = "" if name == "none" else f"{added:.2f}"
        yield f"| {name} | {1000 * median(values):.2f} | {tail:.2f} | {told} | {kept} |"


@contextmanager
def _service(arguments: list[str], store: str, home: Path) -> Iterator[str]:
    """``bonafide api``; its spool lies in a folder of its own, what is in service in the usual one."""
    option = ["--store", store] if store else []
    rates = ["--address-rate", "10000000/minute", "--subject-rate", "10000000/minute"]
    command = [sys.executable, "-m", "bonafide", "api", *arguments, "--port", "0", *option, *rates]
    environment = os.environ | ({"BONAFIDE_HOME": str(home)} if arguments else {})
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    try:
        assert process.stdout
        found = re.search(r"http://\S+?(?=,)", process.stdout.readline())
        assert found, "the service did not start"
        yield found[0]
    finally:
        process.terminate()
        process.wait(60)


def _sustained(name: str, address: str, seconds: float, scratch: Path) -> str:
    store = Store(address)
    before, image = store.count(), _photograph(64, 64)
    writer = Writer(store, Spool(scratch / f"sustained-{name}"), looks)
    writer.start()
    count, begin = int(seconds * PROMISED_RATE), time.perf_counter()
    for number in range(count):
        writer.put(_prediction(), image)
        ahead = begin + number / PROMISED_RATE - time.perf_counter()
        if ahead > 0:
            time.sleep(ahead)
    sent = time.perf_counter()
    writer.close()
    late, stored = time.perf_counter() - sent, store.count() - before
    kept = "yes" if stored == count and late <= GRACE_SECONDS else "**no**"
    return f"| {name} | {count:,} | {count - stored:,} | {late:.2f} | {kept} |"


def _put(scratch: Path) -> float:
    """Seconds, of a writer that has not begun."""
    writer = Writer(Store(f"sqlite:///{scratch}/put.db"), Spool(scratch / "put"), looks)
    draft, image, seconds = _prediction(), _photograph(64, 64), []
    for _ in range(2000):
        made = replace(draft, id=uuid4().hex)
        begin = time.perf_counter()
        writer.put(made, image)
        seconds.append(time.perf_counter() - begin)
    return median(seconds)


def _prediction() -> Prediction:
    return Prediction(
        id=uuid4().hex,
        time=datetime.now(UTC),
        task="benchmark",
        version="1",
        label="real",
        uncertain=False,
        probabilities={"real": 0.7, "ai-generated": 0.2, "deepfake": 0.1},
        latency_ms=10.0,
        embedding=np.zeros(EMBEDDING, "<f4").tobytes(),
    )


def _photograph(width: int, height: int) -> bytes:
    random = np.random.default_rng(0)
    small = Image.fromarray(random.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    stream = BytesIO()
    small.resize((width, height), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=85)
    return stream.getvalue()


@contextmanager
def _postgresql() -> Iterator[str]:
    from tests import postgres_server

    with postgres_server.serving("-c", "fsync=on") as server:
        server.execute("CREATE DATABASE benchmark")
        yield server.address("benchmark")


if __name__ == "__main__":
    main()
