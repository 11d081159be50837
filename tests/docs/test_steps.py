"""Who knows the name of a step finds its file, its component and its command at the first try."""

import ast
import importlib
import re
import runpy
from pathlib import Path

import pytest
from kfp.dsl.base_component import BaseComponent

from bonafide import __file__ as library

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
ROWS = re.findall(r"^\| (\w+) \| `([\w/]+\.py)` \|", PAGE, re.MULTILINE)
COMMANDS = dict(runpy.run_path(str(ROOT / "docs" / "generate.py"))["commands"]())
OTHER_FUNCTION = {"promote": "promote_version"}


def test_the_page_lists_the_steps_of_the_pipeline_in_order():
    steps = re.findall(r"^\d+\. (\w+)", (ROOT / "pipelines" / "training.py").read_text(), re.MULTILINE)
    assert len(steps) == 10
    assert [step for step, _ in ROWS] == steps


@pytest.mark.parametrize(("step", "file"), ROWS)
def test_the_file_has_the_step_s_name_and_its_function(step, file):
    assert Path(file).stem == step
    tree = ast.parse((Path(library).parent / file).read_text())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert OTHER_FUNCTION.get(step, step) in functions


@pytest.mark.parametrize("step", dict(ROWS))
def test_its_component_has_its_name(step):
    assert isinstance(getattr(importlib.import_module(f"components.{step}"), step), BaseComponent)


def test_its_command_has_its_name_in_the_group_that_the_page_says():
    groups = ["data "] * 3 + ["model "] * 6 + [""]
    named = {f"bonafide {group}{step}" for group, (step, _) in zip(groups, ROWS, strict=True)}
    assert named <= set(COMMANDS)
