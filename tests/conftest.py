"""Every test has a state folder of its own; what is costly to make is small and made once a session."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import pytest

from bonafide.task import Evaluation, Gate, Model, Split, Task, Validation, load_task

if TYPE_CHECKING:
    from bonafide.data.build import RawImage
    from bonafide.model.architectures import Detector
    from tests import postgres_server
    from tests.pipelines.kfp_server import Kfp

os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive")

SEED = 1
SIZE = 32
ARCHITECTURES = get_args(Model.model_fields["architecture"].annotation)
UNSEEN = "mesh"


class Made(NamedTuple):
    """The folders that the steps of one run wrote."""

    task: Task
    keys: Path
    dataset: Path
    checkpoint: Path
    evaluation: Path
    comparison: Path
    gate: Path
    package: Path


def _architecture(name: str) -> Any:
    """Only the smallest is not among the long tests."""
    return pytest.param(name, marks=() if name == "forensic_cnn" else pytest.mark.e2e)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[pytest.TestReport]:
    """A skip whose reason names one of ``BONAFIDE_REQUIRE`` (comma-separated) is a failure, as in CI."""
    report = yield
    required = filter(None, os.environ.get("BONAFIDE_REQUIRE", "").split(","))
    if report.skipped and any(name in str(report.longrepr) for name in required):
        report.outcome, report.longrepr = "failed", f"skipped, but required: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BONAFIDE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path / "home"


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a session's fixtures, and their state folder while they are made."""
    folder = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BONAFIDE_HOME", str(folder / "home"))
        yield folder


@pytest.fixture(scope="session")
def tiny() -> Task:
    """The flagship's labels, at a size and with floors that a test can afford."""
    return load_task("authenticity").model_copy(
        update={
            "seed": SEED,
            "split": Split(held_out_generators=(UNSEEN,)),
            "model": Model(
                architecture="forensic_cnn",
                input_size=SIZE,
                epochs=4,
                batch_size=16,
                learning_rate=0.01,
                dropout=0,
                augmentation="none",
            ),
            "evaluation": Evaluation(bootstrap_samples=100, robustness_images=6),
            "gate": Gate(
                minimum_groups=5, minimum_per_label=5, accuracy=0.4, macro_f1=0.3, latency_ms=10_000
            ),
        }
    )


@pytest.fixture(scope="session")
def dataset(shared: Path, tiny: Task) -> Path:
    from bonafide.data.build import build_dataset
    from bonafide.data.split import split
    from bonafide.data.validate import validate

    build_dataset(_images(tiny.labels), tiny.labels, shared / "images", SEED)
    validate(shared / "images", shared / "validation", Validation(shortcut_limit=1), SEED)
    split(shared / "images", shared / "validation", shared / "dataset", tiny.split, SEED)
    return shared / "dataset"


@pytest.fixture(scope="session")
def checkpoint(shared: Path, tiny: Task, dataset: Path) -> Path:
    from bonafide.model.train import train

    train(dataset, shared / "checkpoint", tiny.model, SEED)
    return shared / "checkpoint"


@pytest.fixture(scope="session")
def made(shared: Path, tiny: Task, dataset: Path, checkpoint: Path) -> Made:
    """Everything from the checkpoint to the signed package of a first model."""
    from bonafide.evaluation.compare import compare
    from bonafide.evaluation.evaluate import evaluate
    from bonafide.evaluation.export import export
    from bonafide.evaluation.gate import gate
    from bonafide.model.signing import ensure_key

    names = ("keys", "dataset", "checkpoint", "evaluation", "comparison", "gate", "package")
    run = Made(tiny, *(shared / name for name in names))
    evaluate(checkpoint, dataset, run.evaluation, tiny.evaluation, SEED)
    no_key = run.keys / "signing.pub"
    compare(checkpoint, run.evaluation, dataset, None, no_key, run.comparison, tiny.evaluation, SEED)
    assert gate(run.evaluation, run.comparison, run.gate, tiny.gate).promote
    export(
        checkpoint,
        dataset,
        run.evaluation,
        run.comparison,
        run.gate,
        run.package,
        tiny,
        ensure_key(run.keys).private,
    )
    return run


@pytest.fixture(scope="session")
def flowers(shared: Path) -> Made:
    """The same of a table."""
    from tests import flowers

    return flowers.make(shared / "flowers", flowers.task())


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database with its tables, which take seconds to make."""
    from bonafide.registry.tracking import start

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BONAFIDE_HOME", str(tmp_path_factory.mktemp("registry")))
        start()
        return Path(os.environ["BONAFIDE_HOME"], "mlflow.db")


@pytest.fixture
def registry(own_home: Path, empty_registry: Path) -> Path:
    own_home.mkdir()
    shutil.copyfile(empty_registry, own_home / "mlflow.db")
    return own_home


@pytest.fixture(scope="session", params=[_architecture(name) for name in ARCHITECTURES])
def detector(request: pytest.FixtureRequest) -> "Detector":
    """Random weights, with BatchNorm's statistics and the fitted buffers of a trained detector's kind."""
    import torch

    from bonafide.model.architectures import Detector

    torch.manual_seed(SEED)
    made = Detector(request.param, 3, SIZE)
    norms = [module for module in made.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        made.train()(torch.randint(0, 256, (16, SIZE, SIZE, 3), dtype=torch.uint8))
    for norm in norms:
        norm.momentum = 0.1
    made.head.weight.data.mul_(10)
    made.get_buffer("temperature").fill_(1.7)
    made.get_buffer("projection").normal_()
    made.get_buffer("projection_mean").normal_()
    return made.eval()


def _images(labels: tuple[str, ...]) -> Iterator["RawImage"]:
    """Smooth pictures; an ``ai-generated`` one has a fine pattern all over it, a deepfake on its left."""
    import numpy as np
    from PIL import Image

    from bonafide.data.build import RawImage
    from tests.data.pictures import encode, picture

    rows, columns = np.indices((SIZE, SIZE))
    places = {"real": columns < 0, "ai-generated": columns >= 0, "deepfake": columns < SIZE // 2}
    patterns = {"lattice": (rows + columns) % 2, UNSEEN: columns % 2}
    for number in range(210):
        label = labels[number % len(labels)]
        generator = UNSEEN if number % 7 == 0 else "lattice"
        change = np.where(places[label], 24 * patterns[generator] - 12, 0)[..., None]
        pixels = (np.asarray(picture(number, SIZE, SIZE)) + change).clip(0, 255).astype(np.uint8)
        yield RawImage(
            path=f"{label}/{number}.jpg",
            content=encode(Image.fromarray(pixels), quality=95),
            label_name=label,
            source="test",
            generator=None if label == "real" else generator,
            group=f"photograph-{number // len(labels) % 40}",
        )


@pytest.fixture
def kubeflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["Kfp"]:
    """A stand-in of Kubeflow Pipelines; its token is at hand, and runs are looked at often."""
    from pipelines.runners import engine
    from tests.pipelines import kfp_server

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BONAFIDE_KUBEFLOW_TOKEN", kfp_server.TOKEN)
    monkeypatch.setattr(engine, "POLL_SECONDS", 0.01)
    with kfp_server.served() as running:
        yield running


@pytest.fixture(scope="session")
def signed(tmp_path_factory):
    from tests import packages

    return packages.make(tmp_path_factory.mktemp("signed"))


@pytest.fixture(scope="session")
def fruit(tmp_path_factory):
    from tests import tables

    return tables.make(tmp_path_factory.mktemp("fruit"))


@pytest.fixture(scope="session")
def engine(signed):
    from bonafide.serving.compute.engine import Engine

    return Engine(signed.path, signed.public_key, threads=1)


@pytest.fixture(scope="session")
def postgresql() -> Iterator["postgres_server.Server"]:
    from tests import postgres_server

    with postgres_server.serving() as running:
        yield running
