"""The training pipeline as pods run it: each step in an empty home and a working folder of its own.

What runs share is elsewhere: an MLflow server with its packages in S3, a delivery repository behind HTTP and
a token, and a signing key in a mounted folder.
"""

import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import yaml

from bonafide.doctor import examine
from bonafide.model.package import verify
from bonafide.model.signing import ensure_key
from bonafide.registry import packages, versions
from bonafide.registry.outcomes import EXPERIMENT
from bonafide.registry.tracking import client
from bonafide.task import load_task
from tests.delivery.git_server import GitServer, served
from tests.delivery.test_repository import git
from tests.mlflow_server import running
from tests.pipelines.test_local import LENIENT, SMALL

pytestmark = pytest.mark.e2e

BUCKET = "models"
TASK = "authenticity"


class Shared(NamedTuple):
    """What all steps reach, and the homes that they had."""

    environment: dict[str, str]
    delivery: GitServer
    public_key: Path
    homes: Path


@pytest.fixture(scope="module")
def s3():
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    settings = {
        "AWS_ENDPOINT_URL": address,
        "MLFLOW_S3_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    import boto3

    boto3.client(
        "s3",
        **{"endpoint_url": address, "region_name": "us-east-1"},
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    ).create_bucket(Bucket=BUCKET)
    yield settings
    server.stop()


@pytest.fixture(scope="module")
def shared(s3, empty_registry, tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere")
    keys = ensure_key(folder / "mounted")
    store = ("--no-serve-artifacts", "--default-artifact-root", f"s3://{BUCKET}/mlflow")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.items():
            patch.setenv(name, value)
        (folder / "mlflow").mkdir()
        with running(empty_registry, folder / "mlflow", *store) as registry, served(folder) as delivery:
            environment = {
                **s3,
                **delivery.credentials(),
                "MLFLOW_TRACKING_URI": registry,
                "BONAFIDE_DELIVERY": delivery.url,
                "BONAFIDE_SIGNING_KEY": str(keys.private),
            }
            yield Shared(environment, delivery, keys.public, folder / "homes")


@pytest.fixture
def pods(shared, monkeypatch):
    """Each step's process gets a home and a working folder that nobody used before."""
    from kfp.local import subprocess_task_handler

    for name, value in shared.environment.items():
        monkeypatch.setenv(name, value)
    numbers = iter(range(1000))
    shutil.rmtree(shared.homes, ignore_errors=True)

    def start(command, *, env=None, **options):
        pod = shared.homes / f"{next(numbers):03}"
        (pod / "work").mkdir(parents=True)
        environment = {
            **(env or os.environ),
            "BONAFIDE_HOME": str(pod / "home"),
            "HOME": str(pod),
            "BONAFIDE_EPHEMERAL": "1",
        }
        return subprocess.Popen(command, env=environment, cwd=pod / "work", **options)

    starting = SimpleNamespace(
        Popen=start, run=subprocess.run, PIPE=subprocess.PIPE, STDOUT=subprocess.STDOUT
    )
    monkeypatch.setattr(subprocess_task_handler, "subprocess", starting)
    return shared


def train(*overrides: str):
    from pipelines.compilation import load
    from pipelines.runners import local
    from pipelines.training import arguments

    task = load_task(TASK, [*SMALL.split(), *LENIENT.split(), *overrides])
    return local.run(load("training"), arguments(task, "dev"), lambda step: None)


def outcomes() -> list[tuple[str, str]]:
    found = client().get_experiment_by_name(EXPERIMENT)
    runs = client().search_runs([found.experiment_id], order_by=["attributes.start_time"]) if found else []
    return [(run.data.tags["state"], run.data.tags["error"]) for run in runs]


def test_everything_is_right_before_the_first_run(pods):
    assert not [finding for finding in examine(TASK) if finding.broken]


def test_a_run_promotes_and_the_next_one_finds_what_it_left(pods, tmp_path):
    first = train()
    assert first.succeeded, first.log.read_text()[-3000:]
    assert versions.champion(TASK).number == "1"
    second = train("seed=7")
    assert second.succeeded, second.log.read_text()[-3000:]
    champion = versions.champion(TASK)
    assert (champion.number, champion.tags["champion"]) == ("2", "1")

    assert champion.uri.startswith(f"s3://{BUCKET}/mlflow/")
    package = packages.fetch(champion)
    assert verify(package, pods.public_key).task == TASK
    delivered = git(pods.delivery.folder, "show", f"main:environments/dev/{TASK}/inferenceservice.yaml")
    assert yaml.safe_load(delivered)["spec"]["predictor"]["model"]["storageUri"] == champion.uri
    subjects = git(pods.delivery.folder, "log", "--format=%s", "--reverse", "main").splitlines()
    assert subjects[1:] == [f"Promote {TASK} version {number} in dev" for number in "12"]
    assert outcomes() == [("SUCCEEDED", "")] * 2

    left = {path.name for home in pods.homes.glob("*/home") for path in home.iterdir()}
    assert not left & {"keys", "delivery", "mlflow.db", "mlartifacts", "outcomes.jsonl"}
    assert len(list(pods.homes.iterdir())) >= 24, "a home a step"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("BONAFIDE_DELIVERY", "", "delivery repository: BONAFIDE_DELIVERY is not set"),
        ("BONAFIDE_SIGNING_KEY", "", "signing key: BONAFIDE_SIGNING_KEY is not set"),
        (
            "BONAFIDE_SIGNING_KEY",
            "/mounted/nowhere.pem",
            "signing key: cannot sign with /mounted/nowhere.pem",
        ),
        ("GIT_CONFIG_VALUE_0", "Authorization: Basic bm86bm8=", "delivery repository: git ls-remote"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9", "packages: the registry at"),
        (
            "MLFLOW_TRACKING_URI",
            "http://127.0.0.1:9",
            "registry: the registry at http://127.0.0.1:9 does not",
        ),
    ],
)
def test_what_is_missing_stops_the_run_before_anything_is_made(pods, monkeypatch, variable, value, said):
    monkeypatch.setenv(variable, value)
    if variable == "AWS_ENDPOINT_URL":
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", value)
    run = train("seed=8")
    assert not run.succeeded
    assert said in run.error
    assert {step.name for step in run.steps} == {"champion", "report"}
