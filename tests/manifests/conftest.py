"""Rendering with kustomize, where kubectl is installed."""

import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture
def kustomize():
    """From a folder to its objects, as `kubectl apply -k` sends them."""

    def render(folder: str | Path) -> list[dict]:
        try:
            result = subprocess.run(
                ["kubectl", "kustomize", ROOT / folder], capture_output=True, text=True, timeout=60
            )
        except FileNotFoundError:
            pytest.skip("kubectl is not installed")
        assert result.returncode == 0, result.stderr
        return list(yaml.safe_load_all(result.stdout))

    return render
