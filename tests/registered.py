"""Packages of other models, data, runs and keys than the session's one, registered."""

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bonafide.evaluation.gate import VERDICT, read_verdict
from bonafide.files import sha256
from bonafide.model import package, signing
from bonafide.registry.register import register
from bonafide.registry.versions import Version


@pytest.fixture
def build(made, tmp_path) -> Callable[..., Path]:
    """A package with another model, judged against another champion, or with changed fields of its info."""
    numbers = itertools.count()

    def build_package(
        model: bytes = b"", keys: Path = made.keys, champion: str | None = None, **fields: str | None
    ) -> Path:
        folder = tmp_path / "packages" / str(next(numbers))
        graph = folder.with_suffix(".onnx")
        graph.parent.mkdir(exist_ok=True)
        graph.write_bytes(model or (made.package / "model.onnx").read_bytes())
        info = package.verify(made.package, made.keys / "signing.pub").model_copy(update=fields)
        judged = {"model_digest": sha256(graph), "data_digest": info.data_digest, "champion": champion}
        verdict = read_verdict(made.gate).model_copy(update=judged)
        files = {"model.onnx": graph, VERDICT: verdict.model_dump_json().encode()}
        package.build(folder, info, files, signing.ensure_key(keys).private)
        return folder

    return build_package


@pytest.fixture
def record(made, tmp_path, build) -> Callable[..., Version]:
    """Register such a package, beside an evaluation and a dataset that say what it says."""

    def register_package(
        folder: Path | None = None,
        keys: Path = made.keys,
        dataset: Path = made.dataset,
        **more: bytes | str,
    ) -> Version:
        folder = folder or build(keys=keys, **more)
        info = package.verify(folder, keys / "signing.pub")
        digests = {"model_digest": info.model_digest, "data_digest": info.data_digest}
        evaluation = told(made.evaluation, "evaluation.json", tmp_path / "evaluation", **digests)
        data = told(dataset, "dataset.json", tmp_path / "data" / info.data_digest, digest=info.data_digest)
        return register(folder, data, evaluation, made.gate, keys / "signing.pub")

    return register_package


def told(folder: Path, file: str, copy: Path, **changes: str) -> Path:
    """A copy of ``folder`` whose JSON file says something else."""
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    content = json.loads((copy / file).read_text()) | changes
    (copy / file).write_text(json.dumps(content))
    return copy
