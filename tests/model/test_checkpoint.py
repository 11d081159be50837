import json
import shutil

import numpy as np
import pytest
import torch

from bonafide.errors import PackageError
from bonafide.model.checkpoint import INFO, WEIGHTS, load, new_detector, read_info, save
from bonafide.model.info import MODEL
from tests.conftest import SIZE


@pytest.fixture
def copy(checkpoint, tmp_path):
    return shutil.copytree(checkpoint, tmp_path / "copy")


def test_what_is_saved_is_loaded(checkpoint, tmp_path):
    detector, info = load(checkpoint), read_info(checkpoint)
    assert not detector.training
    probe = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
    assert save(tmp_path / "again", detector, info, probe) == info
    again = load(tmp_path / "again").state_dict()
    for name, value in detector.state_dict().items():
        assert torch.equal(value, again[name]), name
    assert read_info(tmp_path / "again") == info
    assert {"temperature", "projection", "projection_mean"} <= set(again)


def test_plain_files_without_pickle(checkpoint):
    assert sorted(path.name for path in checkpoint.iterdir()) == sorted([INFO, WEIGHTS, MODEL])
    json.loads((checkpoint / INFO).read_text())
    length = int.from_bytes((checkpoint / WEIGHTS).read_bytes()[:8], "little")
    header = json.loads((checkpoint / WEIGHTS).read_bytes()[8 : 8 + length])
    assert {entry["dtype"] for name, entry in header.items() if name != "__metadata__"} <= {"F32", "I64"}


def test_the_record_says_how_it_came_to_be(checkpoint, dataset, tiny):
    info = read_info(checkpoint)
    assert info.labels == tiny.labels
    assert info.model == tiny.model
    assert info.data_digest == json.loads((dataset / "dataset.json").read_text())["digest"]
    assert info.parameters == sum(w.numel() for w in new_detector(tiny.labels, tiny.model).parameters())


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"labels": 3}', b"\xff"])
def test_a_broken_record_is_refused(copy, content):
    (copy / INFO).write_bytes(content)
    with pytest.raises(PackageError, match=r"no trained detector: .*train one again"):
        load(copy)


def test_a_folder_without_a_record_is_refused(tmp_path):
    with pytest.raises(PackageError, match="no trained detector"):
        read_info(tmp_path)


def test_weights_that_do_not_fit_are_refused(copy):
    info = json.loads((copy / INFO).read_text())
    info["model"]["architecture"] = "mobilenet_v3_small"
    (copy / INFO).write_text(json.dumps(info))
    with pytest.raises(PackageError, match=r"(?s)weights.safetensors does not fit.*train again"):
        load(copy)


@pytest.mark.parametrize("keep", [0, 7, 200, -1])
def test_cut_weights_are_refused(copy, keep):
    content = (copy / WEIGHTS).read_bytes()
    (copy / WEIGHTS).write_bytes(content[:keep])
    with pytest.raises(PackageError, match="does not fit"):
        load(copy)


def test_missing_weights_are_refused(copy):
    (copy / WEIGHTS).unlink()
    with pytest.raises(PackageError, match="does not fit"):
        load(copy)


def test_a_graph_that_answers_otherwise_leaves_no_checkpoint(checkpoint, tmp_path, monkeypatch):
    detector, info = load(checkpoint), read_info(checkpoint)

    def another(_, path):
        shutil.copyfile(checkpoint / MODEL, path)

    monkeypatch.setattr("bonafide.model.graph.to_onnx", another)
    with torch.no_grad():
        detector.head.weight.neg_()
    probe = np.random.default_rng(0).integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
    with pytest.raises(PackageError, match="differs from the trained model"):
        save(tmp_path / "out", detector, info, probe)
    assert not (tmp_path / "out").exists()
