import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest

from bonafide.cores import available_cores
from bonafide.errors import PackageError
from bonafide.model import package, signing
from bonafide.model.decision import Decision
from bonafide.model.graph import OUTPUTS
from bonafide.model.runtime import OnnxModel
from tests import packages

TWO = Decision(thresholds={"a": 0.5, "b": 0.5})


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    return packages.make(tmp_path_factory.mktemp("signed"))


@pytest.fixture(scope="module")
def model(signed):
    return OnnxModel(signed.path, signed.info, threads=1)


def random_pixels(count, seed=0):
    shape = (count, packages.SIZE, packages.SIZE, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_outputs_are_the_graphs(model, count):
    pixels = random_pixels(count)
    answers = model.run(pixels, OUTPUTS)
    assert list(answers) == list(OUTPUTS)
    assert all(array.dtype == np.float32 for array in answers.values())
    np.testing.assert_allclose(answers["probabilities"], packages.probabilities(pixels), rtol=1e-5)
    np.testing.assert_allclose(answers["embedding"], pixels.mean(axis=(1, 2)) / 255, rtol=1e-5)
    cells = pixels.reshape(count, 4, 4, 4, 4, 3).mean(axis=(2, 4, 5)) / 255
    np.testing.assert_allclose(answers["heatmap"], cells, rtol=1e-5)


def test_only_what_is_asked_for_is_given(model):
    assert set(model.run(random_pixels(1))) == {"probabilities"}


def test_threads_may_share_a_model(model):
    batches = [random_pixels(2, seed) for seed in range(32)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(model.run, batches))
    for batch, answer in zip(batches, answers, strict=True):
        np.testing.assert_allclose(answer["probabilities"], packages.probabilities(batch), rtol=1e-5)


def test_a_model_swapped_after_verification_is_refused(tmp_path):
    signed = packages.make(tmp_path)
    info = package.verify(signed.path, signed.public_key)
    (signed.path / "model.onnx").write_bytes(packages.graph(size=32))
    with pytest.raises(PackageError, match="is not the verified model"):
        OnnxModel(signed.path, info)


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        (b"no graph", {}, "ONNX Runtime cannot load it"),
        (
            packages.graph(),
            {"input": {"modality": "image", "size": 32}},
            r"pixels must be tensor\(uint8\) \[N, 32, 32, 3\]",
        ),
        (
            packages.graph(),
            {"labels": ("a", "b"), "decision": {"thresholds": {"a": 0.5, "b": 0.5}}},
            r"probabilities must be",
        ),
        (packages.graph(), {"embedding_size": 4}, "embedding must be"),
        (packages.graph(), {"heatmap_size": (4, 5)}, "heatmap must be"),
    ],
)
def test_a_graph_unlike_its_info_is_refused(tmp_path, content, changes, message):
    keys = signing.ensure_key(tmp_path / "keys")
    info = package.build(
        tmp_path / "package", packages.info(**changes), {"model.onnx": content}, keys.private
    )
    with pytest.raises(PackageError, match=message):
        OnnxModel(tmp_path / "package", info)


def test_a_graph_without_heatmap_is_refused(tmp_path):
    graph = onnx.load_model_from_string(packages.graph())
    graph.graph.output.pop()
    keys = signing.ensure_key(tmp_path / "keys")
    files = {"model.onnx": graph.SerializeToString()}
    info = package.build(tmp_path / "package", packages.info(), files, keys.private)
    with pytest.raises(PackageError, match=r"heatmap must be .* the graph has nothing"):
        OnnxModel(tmp_path / "package", info)


def quota(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "150000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "9900000 100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
    ],
)
def test_cores_keep_to_the_containers_quota(tmp_path, monkeypatch, files, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert available_cores(quota(tmp_path, files)) == expected


@pytest.mark.parametrize(("asked", "expected"), [(None, 2), (1, 1), (2, 2), (64, 2)])
def test_threads_never_exceed_the_cores(signed, monkeypatch, asked, expected):
    monkeypatch.setattr("bonafide.model.runtime.available_cores", lambda: 2)
    session = OnnxModel(signed.path, signed.info, asked)._session
    assert session.get_session_options().intra_op_num_threads == expected


def test_no_torch_is_imported():
    check = "import sys, bonafide.model.runtime; sys.exit(any(m in sys.modules for m in ('torch', 'mlflow')))"
    assert subprocess.run([sys.executable, "-c", check]).returncode == 0
