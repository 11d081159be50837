"""Image, lock, runtime and delivered service are written apart and must agree."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from kubernetes.utils import parse_quantity
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bonafide.delivery.manifests import CONTAINER, inference_service

ROOT = Path(__file__).parents[2]
MOUNT = "/mnt/models"  # where KServe puts the package


def runtime() -> dict:
    (container,) = yaml.safe_load((ROOT / "kserve/runtime.yaml").read_text())["spec"]["containers"]
    return container


def resources(environment: str) -> dict:
    """Of a predictor in an environment: the runtime's, with what the overlay changes."""
    overlay = yaml.safe_load((ROOT / f"kserve/overlays/{environment}/kustomization.yaml").read_text())
    patches = [step for patch in overlay["patches"] for step in yaml.safe_load(patch["patch"])]
    changed = [step["value"] for step in patches if step["path"] == "/spec/predictor/model/resources"]
    return {
        kind: runtime()["resources"][kind] | (changed[0][kind] if changed else {})
        for kind in ("requests", "limits")
    }


def test_the_service_fills_in_the_runtimes_container():
    model = inference_service("pets", "12", "s3://models/12", "bonafide-dev")["spec"]["predictor"]["model"]
    assert model["name"] == CONTAINER == runtime()["name"]
    assert MOUNT in runtime()["args"]
    assert not model.keys() & {"image", "args", "command", "ports", "securityContext"}


def test_the_lock_pins_what_the_image_installs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["serve"]]
    lock = (ROOT / "locks/serving.txt").read_text()
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE))
    for requirement in map(Requirement, asked):
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), requirement


def test_what_the_wheel_is_built_from_is_copied_into_the_images():
    included = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
        "wheel"
    ]
    for folder in included["force-include"]:
        for image in ("batch", "pipeline", "predictor"):
            text = (ROOT / f"images/{image}/Dockerfile").read_text()
            assert f"COPY {folder} {folder}\n" in text, "else the wheel cannot be built there"


def test_probes_and_ports_have_the_servers_names():
    ports = {port["name"]: port["containerPort"] for port in runtime()["ports"]}
    arguments = dict(argument.lstrip("-").split("=", 1) for argument in runtime()["args"] if "=" in argument)
    assert ports == {"http1": int(arguments["http-port"]), "grpc": int(arguments["grpc-port"])}
    probes = [runtime()[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert {probe["port"] for probe in probes} == {ports["http1"]}


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_the_server_gets_whole_cores_which_its_threads_are_counted_by(environment):
    asked, most = resources(environment)["requests"], resources(environment)["limits"]
    assert parse_quantity(most["cpu"]) % 1 == 0
    for name in ("cpu", "memory"):
        assert parse_quantity(asked[name]) <= parse_quantity(most[name])


def test_staging_is_as_large_as_prod():
    assert resources("staging") == resources("prod") == runtime()["resources"]
