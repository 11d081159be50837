"""Packages of other models, data, runs and keys than the session's one, registered."""

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bonafide.evaluation.gate import VERDICT, read_verdict
from bonafide.files import write_text
from bonafide.model import package, signing
from bonafide.registry.register import register
from bonafide.registry.versions import Version


@pytest.fixture
def build(made, tmp_path) -> Callable[..., Path]:
    """A package with another model, or with changed fields of ``package.json``."""
    numbers = itertools.count()

    def build_package(model: bytes = b"", keys: Path = made.keys, **fields: str | None) -> Path:
        files: dict[str, Path | bytes] = {name: made.package / name for name in ("model.onnx", VERDICT)}
        if model:
            files["model.onnx"] = model
        info = package.verify(made.package, made.keys / "signing.pub").model_copy(update=fields)
        folder = tmp_path / "packages" / str(next(numbers))
        package.build(folder, info, files, signing.ensure_key(keys).private)
        return folder

    return build_package


@pytest.fixture
def record(made, tmp_path, build) -> Callable[..., Version]:
    """Register such a package, judged against a champion."""

    def register_package(
        folder: Path | None = None,
        champion: str | None = None,
        keys: Path = made.keys,
        **more: bytes | str,
    ) -> Version:
        folder = folder or build(keys=keys, **more)
        gate = shutil.copytree(made.gate, tmp_path / "gate", dirs_exist_ok=True)
        verdict = read_verdict(gate).model_copy(update={"champion": champion})
        write_text(gate / VERDICT, verdict.model_dump_json())
        return register(folder, made.dataset, made.evaluation, gate, keys / "signing.pub")

    return register_package
