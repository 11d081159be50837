import ast
from pathlib import Path

import pytest

from bonafide.errors import ConfigError
from bonafide.modality import ARMS, arm

ROOT = Path(__file__).parents[1]
NAMED = [(modality, role) for modality, roles in ARMS.items() for role in roles]


@pytest.mark.parametrize(("modality", "role"), NAMED)
def test_each_role_is_played(modality, role):
    found = arm(modality, role)
    known = {"question": ("tensors", "items"), "paths": ("router", "DESCRIPTION")}
    assert callable(found) or all(hasattr(found, name) for name in known[role])


def test_what_is_not_built_is_said(monkeypatch):
    monkeypatch.delitem(ARMS, "table", raising=False)
    with pytest.raises(ConfigError, match="'table' is known, but this version cannot read a table"):
        arm("table", "read")


def test_all_arms_play_the_same_roles():
    [roles] = {tuple(sorted(roles)) for roles in ARMS.values()}
    assert roles


def test_nobody_else_chooses():
    """What an arm does is found by the modality alone; only the collector reads what both arms are sent."""
    arms = {name.replace(":", ".") for roles in ARMS.values() for name in roles.values()}
    files = (path for name in ("src", "components", "pipelines") for path in (ROOT / name).rglob("*.py"))
    found = {
        path.relative_to(ROOT).as_posix()
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
        for name in node.names
        if f"{node.module}.{name.name}" in arms
    }
    assert found == {"src/bonafide/serving/collect/halves.py"}
