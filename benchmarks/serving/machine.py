"""What the figures were measured on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.serving.measure import Cores

SERVER_CORES = 2
PACKAGES = ("onnxruntime", "torch", "kserve", "fastapi", "uvicorn", "grpcio", "numpy", "pillow")


def cores() -> Cores:
    """Half of the cores, two at most, for servers; the others for the load generator."""
    mine = tuple(sorted(os.sched_getaffinity(0)))
    most = max(1, min(SERVER_CORES, len(mine) // 2))
    server, rest = mine[:most], mine[most:]
    return Cores(server, rest or server)


def describe(given: Cores) -> dict[str, Any]:
    """For the page."""
    return {
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.release()}",
        "cores": os.cpu_count(),
        "server_cores": len(given.server),
        "load_apart": not set(given.server) & set(given.load),
        "memory_gib": psutil.virtual_memory().total / 2**30,
        "versions": {"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
