"""Rendering with kustomize, by kubectl."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def kubectl() -> Callable[..., str]:
    """What kubectl prints. Before 1.24 its kustomize knows neither ``labels`` nor folders as resources."""

    def run(*arguments: str | Path) -> str:
        result = subprocess.run(["kubectl", *arguments], capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stderr
        return result.stdout

    try:
        version = json.loads(run("version", "--client", "--output", "json"))
    except FileNotFoundError:
        pytest.skip("kubectl is not installed")
    if "kustomizeVersion" not in version:
        pytest.skip("kubectl is older than 1.24")
    return run


@pytest.fixture
def kustomize(kubectl) -> Callable[[str | Path], list[dict]]:
    """From a folder to its objects, as `kubectl apply -k` sends them."""
    return lambda folder: list(yaml.safe_load_all(kubectl("kustomize", ROOT / folder)))
