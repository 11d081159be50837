"""The incident runbook is followed, command by command, by somebody whose model meets a new generator."""

import csv
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.data.pictures import encode, picture

pytestmark = pytest.mark.e2e

PAGE = Path(__file__).parents[2] / "docs" / "runbooks" / "incident.md"
LABELS = ("real", "ai-generated")
SIDE = 32
TASK = {
    "name": "authenticity",
    "title": "Authenticity of photographs",
    "labels": list(LABELS),
    "source": [{"kind": "folder", "path": "pictures"}],
    "split": {"test": 0.4},
    "model": {
        "architecture": "forensic_cnn",
        "input_size": SIDE,
        "epochs": 6,
        "batch_size": 16,
        "learning_rate": 0.01,
    },
    "evaluation": {"bootstrap_samples": 100, "robustness_images": 6},
    "gate": {
        "minimum_groups": 5,
        "minimum_per_label": 5,
        "accuracy": 0.6,
        "macro_f1": 0.6,
        "latency_ms": 10_000,
        "non_inferiority_margin": 0.2,
    },
}
# The page's numbers of versions, and what they are here.
VERSIONS = {"12": "2", "13": "3"}


def commands() -> list[str]:
    """What the page says to type, in its order."""
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


class Follower:
    """Types what comes next on the page."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left = commands()

    def types(self, what: str) -> str:
        """The next command, which begins so; what it prints."""
        line = self._left.pop(0)
        assert line.startswith(f"bonafide {what}")
        return self.runs(re.sub(r"\b1[23]\b", lambda found: VERSIONS[found[0]], line))

    def runs(self, line: str) -> str:
        _, *words = shlex.split(line)
        done = subprocess.run(
            [sys.executable, "-m", "bonafide", *words],
            cwd=self._folder,
            env=os.environ | {"COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def is_done(self) -> bool:
        return not self._left


def image(number: int, label: str, pattern: np.ndarray) -> bytes:
    pixels = np.asarray(picture(number, SIDE, SIDE)) + (label != LABELS[0]) * pattern[..., None]
    return encode(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)), quality=95)


ROWS, COLUMNS = np.indices((SIDE, SIDE))
LATTICE = 24 * ((ROWS + COLUMNS) % 2) - 12
MESH = 40 * (COLUMNS // 4 % 2) - 20


def write(folder: Path, numbers: range, pattern: np.ndarray) -> None:
    for number in numbers:
        label = LABELS[number % 2]
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / f"{number}.jpg").write_bytes(image(number, label, pattern))


def right(table: Path) -> float:
    """The share of a table's rows whose folder is their label."""
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    return sum(Path(row["path"]).parts[-2] == row["label"] for row in rows) / len(rows)


@pytest.fixture
def follower(tmp_path, monkeypatch, registry):
    """Version 2 serves everywhere, version 1 did before."""
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/authenticity.yaml").write_text(yaml.safe_dump(TASK))
    write(tmp_path / "pictures", range(240), LATTICE)
    following = Follower(tmp_path)
    for version, seed in (("1", 1), ("2", 2)):
        following.runs(f"bonafide pipeline run training --set seed={seed}")
        following.runs(f"bonafide promote {version} --env staging")
        following.runs(f"bonafide promote {version} --env prod")
    return following


def served(told: str) -> dict[str, str]:
    """The version of each environment."""
    return dict(re.findall(r"^authenticity +(\w+) +(\d+) ", told, re.MULTILINE))


def test_the_page_leads_from_complaints_to_a_better_model(follower, tmp_path):
    assert served(follower.types("status")) == {"dev": "2", "staging": "2", "prod": "2"}
    assert "version 1 has all traffic in prod" in follower.types("rollback --env prod")
    assert served(follower.runs("bonafide status")) == {"dev": "2", "staging": "2", "prod": "1"}

    write(tmp_path / "wrong", range(1000, 1120), MESH)
    follower.types("batch wrong wrong.csv")
    assert right(tmp_path / "wrong.csv") < 0.75

    write(tmp_path / "kept", range(2000, 2100), MESH)
    (tmp_path / "wrong").rename(tmp_path / "incident")
    task = TASK | {"source": [{"kind": "folder", "path": name} for name in ("pictures", "incident")]}
    (tmp_path / "tasks/authenticity.yaml").write_text(yaml.safe_dump(task))
    assert "360 images, 0 quarantined" in follower.types("data ingest images")
    assert "all checks passed" in follower.types("data validate images validation")

    follower.types("pipeline run training")
    follower.types("pipeline run batch --version 13")
    follower.types("pipeline run batch --version 12")
    assert right(tmp_path / "kept.csv") > right(tmp_path / "kept-before.csv")

    follower.types("promote 13 --env staging")
    follower.types("promote 13 --env prod")
    assert served(follower.types("status")) == {"dev": "3", "staging": "3", "prod": "3"}
    assert follower.is_done()
