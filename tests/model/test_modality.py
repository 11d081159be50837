import ast
from pathlib import Path

import pytest

from bonafide.errors import ConfigError
from bonafide.model import modality
from bonafide.model.answers import answer
from bonafide.model.train import train
from bonafide.sources.ingest import ingest

ROOT = Path(__file__).parents[2]


def test_images_are_read_trained_on_and_asked():
    assert (modality.reader("image"), modality.trainer("image"), modality.asker("image")) == (
        ingest,
        train,
        answer,
    )


@pytest.mark.parametrize("choose", [modality.reader, modality.trainer, modality.asker])
def test_what_is_not_built_is_said(choose):
    with pytest.raises(ConfigError, match="'table' is known but not built yet"):
        choose("table")


def test_nobody_else_chooses():
    """The three functions of the image arm are imported by the seam alone."""
    arm = {("bonafide.sources.ingest", "ingest"), ("bonafide.model.train", "train")}
    arm.add(("bonafide.model.answers", "answer"))
    files = (path for name in ("src", "components", "pipelines") for path in (ROOT / name).rglob("*.py"))
    found = {
        path.relative_to(ROOT).as_posix()
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
        if (node.module, name.name) in arm
    }
    assert found == {"src/bonafide/model/modality.py"}
