"""A real Prometheus that has samples of everything."""

import itertools
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

import httpx
import pytest

from bonafide.telemetry import metrics
from tests.monitoring.promql import OTHERS, declared, series

PATIENCE_SECONDS = 60
MINUTES = 120
# What labels may say, where it matters; others have one value.
VALUES = {
    "outcome": ("ok", "failed", "overloaded", "loaded", "started", "stored"),
    "stage": metrics.STAGES,
    "label": ("real", "ai-generated"),
    "kind": ("looks", "mix"),
    "metric": ("accuracy", "reviewed"),
    "state": ("new", "confirmed"),
    "resource": ("cpu", "memory"),
    "namespace": ("bonafide-dev",),
}
BOUNDS = ("0.1", "0.5", "1", "+Inf")


class Prometheus(NamedTuple):
    """``until`` is the time of the last samples."""

    address: str
    until: datetime


def lines(begin: int):
    """Samples of every metric that is declared, or known of others, once a minute."""
    known = {**OTHERS, **{name: labels for metric in declared().values() for name, labels in series(metric)}}
    for name, labels in known.items():
        choices = [
            [(label, value) for value in (BOUNDS if label == "le" else VALUES.get(label, ("one",)))]
            for label in sorted(labels)
        ]
        for number, chosen in enumerate(itertools.product(*choices), start=1):
            text = ",".join(f'{label}="{value}"' for label, value in chosen)
            for minute in range(MINUTES):
                value = number * minute if name.endswith(("_total", "_count", "_sum", "_bucket")) else number
                yield f"{name}{{{text}}} {value} {begin + 60 * minute}"


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory):
    """One that has the samples."""
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is not installed")
    folder = tmp_path_factory.mktemp("prometheus")
    begin = int(time.time()) - 60 * (MINUTES + 60)
    (folder / "samples").write_text("\n".join([*lines(begin), "# EOF\n"]))
    made = subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", folder / "samples", folder / "data"],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    (folder / "prometheus.yml").write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--web.listen-address={address}"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, f"--storage.tsdb.path={folder}/data"], stderr=log)
    try:
        patience = time.monotonic() + PATIENCE_SECONDS
        ready = False
        while not ready:
            assert time.monotonic() < patience
            time.sleep(0.1)
            with suppress(httpx.HTTPError):
                ready = httpx.get(f"http://{address}/-/ready").is_success
        yield Prometheus(f"http://{address}", datetime.fromtimestamp(begin + 60 * (MINUTES - 1), UTC))
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)
