"""The servers that are compared: how each is started, asked and judged."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.serving.dialects import GRPC
from benchmarks.serving.peers.names import GRAPH, WEIGHTS
from benchmarks.serving.subject import Subject

MODULES = "benchmarks.serving.peers"
ENVIRONMENTS = Path(".bench-venvs")
MODEL = "authenticity"
V2 = f"http://127.0.0.1:{{0}}/v2/models/{MODEL}/infer"
PREDICT = "http://127.0.0.1:{0}/predict"

Ports = tuple[int, int, int]
Start = Callable[["System", Subject, Ports], list[str]]


@dataclass(frozen=True)
class System:
    """A server.

    ``start`` makes its command, and the files that it needs, from the subject and three free ports, which
    also fill ``url``. ``environment`` is a virtual environment under ``.bench-venvs`` that holds ``needs``;
    empty for the one at hand.
    """

    name: str
    start: Start
    dialect: str
    url: str
    environment: str = ""
    needs: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ours(self) -> bool:
        """Whether it is Bonafide."""
        return self.name.startswith("Bonafide")

    @property
    def bin(self) -> Path:
        """Where the server's interpreter and commands are."""
        return (
            ENVIRONMENTS / self.environment / "bin" if self.environment else Path(sys.executable).parent
        ).absolute()

    def expected(self, subject: Subject) -> Path:
        """The right answers: peers decode files whole and resize them with Pillow."""
        return subject.expected if self.is_ours else subject.expected_plain

    def settings(self, subject: Subject) -> dict[str, str]:
        """Environment variables of the server."""
        return {WEIGHTS: str(subject.weights), GRAPH: str(subject.graph), **self.variables}


def bonafide(system: System, subject: Subject, ports: Ports) -> list[str]:
    """Bonafide's predictor."""
    command = [str(system.bin / "bonafide"), "serve", str(subject.package)]
    command += ["--public-key", str(subject.public_key)]
    return [*command, "--http-port", str(ports[0]), "--grpc-port", str(ports[1])]


def api(system: System, subject: Subject, ports: Ports) -> list[str]:
    """The service API, with a predictor within itself."""
    command = [str(system.bin / "bonafide"), "api", str(subject.package)]
    command += ["--public-key", str(subject.public_key), "--port", str(ports[0])]
    return [*command, "--subject-rate", UNLIMITED, "--address-rate", UNLIMITED]


def _module(name: str, *options: str) -> Start:
    """``python -m benchmarks.serving.peers.NAME`` with options, in which ports are filled."""

    def start(system: System, _: Subject, ports: Ports) -> list[str]:
        filled = (option.format(*ports) for option in options)
        return [str(system.bin / "python"), "-m", f"{MODULES}.{name}", *filled]

    return start


def _uvicorn(name: str) -> Start:
    def start(system: System, _: Subject, ports: Ports) -> list[str]:
        app = f"{MODULES}.{name}:app"
        return [str(system.bin / "uvicorn"), app, "--port", str(ports[0]), "--log-level", "warning"]

    return start


def mlserver(batch: int = 1, model: str = MODEL, runtime: str = "mlserver_onnx", **settings: Any) -> Start:
    """MLServer with a runtime of ``peers`` and, beside its defaults, ``settings`` of its own."""

    def start(system: System, subject: Subject, ports: Ports) -> list[str]:
        folder = Path(tempfile.mkdtemp(prefix="mlserver-", dir=subject.folder))
        names = ("http_port", "grpc_port", "metrics_port")
        (folder / "settings.json").write_text(
            json.dumps({"host": "127.0.0.1", **dict(zip(names, ports, strict=True)), **settings})
        )
        described = {
            "name": model,
            "implementation": f"{MODULES}.{runtime}.OnnxRuntime",
            "parameters": {"uri": str(subject.graph)},
        }
        batching = {"max_batch_size": batch, "max_batch_time": 0.01} if batch > 1 else {}
        (folder / "model-settings.json").write_text(json.dumps(described | batching))
        return [str(system.bin / "mlserver"), "start", str(folder)]

    return start


def _torchserve(system: System, subject: Subject, ports: Ports) -> list[str]:
    folder = subject.folder / "torchserve"
    folder.mkdir(exist_ok=True)
    handler = Path(__file__).parent / "peers" / "torchserve_torch.py"
    archive = [str(system.bin / "torch-model-archiver"), "--model-name", MODEL, "--version", "1.0", "--force"]
    archive += [
        "--handler",
        str(handler),
        "--extra-files",
        str(subject.weights),
        "--export-path",
        str(folder),
    ]
    subprocess.run(archive, check=True, stdout=subprocess.DEVNULL)
    names = ("inference", "management", "metrics")
    lines = [f"{name}_address=http://127.0.0.1:{port}" for name, port in zip(names, ports, strict=True)]
    (folder / "config.properties").write_text("\n".join([*lines, "disable_token_authorization=true", ""]))
    command = [
        str(system.bin / "torchserve"),
        "--start",
        "--foreground",
        "--ncs",
        "--model-store",
        str(folder),
    ]
    return [*command, "--models", f"{MODEL}.mar", "--ts-config", str(folder / "config.properties")]


UNLIMITED = "1000000/minute"
SHIPPED = ("--constraint", "locks/serving.txt", "--editable", ".[serve]")  # as images/predictor has it
LITSERVE = ("litserve==0.2.19",)
MLSERVER = ("mlserver==1.7.1", "uvloop<0.22")  # a newer uvloop leaves its workers without an event loop
TORCHSERVE = ("torchserve==0.12.0", "torch-model-archiver==0.12.0")
KSERVE_OPTIONS = ("--http_port", "{0}", "--grpc_port", "{1}", "--enable_grpc", "false")

SYSTEMS = (
    System("Bonafide, REST binary", bonafide, "v2 binary", V2, "bonafide", SHIPPED),
    System("Bonafide, REST base64", bonafide, "v2 base64", V2, "bonafide", SHIPPED),
    System("Bonafide, gRPC", bonafide, GRPC, f"127.0.0.1:{{1}}/{MODEL}", "bonafide", SHIPPED),
    System("Bonafide service API", api, "api", PREDICT, "bonafide", SHIPPED),
    System("FastAPI + PyTorch", _uvicorn("fastapi_torch"), "upload", PREDICT),
    System("FastAPI + ONNX Runtime", _uvicorn("fastapi_onnx"), "upload", PREDICT),
    System(
        "LitServe",
        _module("litserve_torch", "{0}"),
        "litserve",
        PREDICT,
        "litserve",
        LITSERVE,
        {"BENCHMARK_BATCH": "1"},
    ),
    System(
        "LitServe, batching",
        _module("litserve_torch", "{0}"),
        "litserve",
        PREDICT,
        "litserve",
        LITSERVE,
        {"BENCHMARK_BATCH": "8"},
    ),
    System(
        "KServe custom model",
        _module("kserve_torch", *KSERVE_OPTIONS),
        "v1",
        f"http://127.0.0.1:{{0}}/v1/models/{MODEL}:predict",
    ),
    System("MLServer", mlserver(), "mlserver", V2, "mlserver", MLSERVER),
    System("MLServer, batching", mlserver(8), "mlserver", V2, "mlserver", MLSERVER),
    System(
        "TorchServe",
        _torchserve,
        "raw",
        f"http://127.0.0.1:{{0}}/predictions/{MODEL}",
        "torchserve",
        TORCHSERVE,
        {"OMP_NUM_THREADS": "1"},  # cores ÷ workers, as its documentation has it; 2 stand still
    ),
)
