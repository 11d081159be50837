"""Every component keeps the contract that lets a laptop and a cluster run the same definition."""

import ast
import importlib
import inspect
import sys
from pathlib import Path

import pytest
from kfp.dsl.base_component import BaseComponent

import components
from bonafide import __version__

FOLDER = Path(components.__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def load(name: str) -> BaseComponent:
    return getattr(importlib.import_module(f"components.{name}"), name)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_component_of_its_file_s_name_on_our_image(name):
    container = load(name).component_spec.implementation.container
    image = "drift" if name == "drift_check" else "pipeline"
    assert container.image == f"ghcr.io/bonafide/{image}:{__version__}"
    assert "pip" not in " ".join(container.command[:-1])


@pytest.mark.parametrize("name", NAMES)
def test_its_body_imports_the_library_and_the_standard_library_only(name):
    tree = ast.parse(inspect.getsource(load(name).python_func))
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert "bonafide" in imported
    assert imported <= {"bonafide", *sys.stdlib_module_names}
