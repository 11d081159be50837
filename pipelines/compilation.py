"""The compiled form of every pipeline: committed, and checked for freshness."""

import importlib
import tempfile
from pathlib import Path
from typing import Any

PIPELINES = ("training", "batch", "monitoring")
COMPILED = Path(__file__).parent / "compiled"


def load(name: str) -> Any:
    """The pipeline function of that name."""
    return getattr(importlib.import_module(f"pipelines.{name}"), name)


def compile_all() -> list[Path]:
    """Write ``pipelines/compiled/*.yaml``; returns those that changed."""
    changed = []
    for name in PIPELINES:
        path, fresh = COMPILED / f"{name}.yaml", _compile(name)
        if not path.exists() or path.read_text() != fresh:
            path.write_text(fresh)
            changed.append(path)
    return changed


def stale() -> list[Path]:
    """Compiled files that are not what their pipeline compiles to now."""
    paths = {name: COMPILED / f"{name}.yaml" for name in PIPELINES}
    return [path for name, path in paths.items() if not path.exists() or path.read_text() != _compile(name)]


def _compile(name: str) -> str:
    from kfp.compiler import Compiler

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"{name}.yaml"
        Compiler().compile(load(name), str(path))
        return path.read_text()
