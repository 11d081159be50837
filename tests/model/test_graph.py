import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from bonafide.errors import PackageError
from bonafide.model.architectures import Detector
from bonafide.model.graph import OUTPUTS, check_parity, to_onnx
from bonafide.model.runtime import OnnxModel
from tests import packages
from tests.conftest import SIZE


def test_the_graph_answers_as_torch_does(detector, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        to_onnx(detector, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for count in (1, 3, 7):
        pixels = np.random.default_rng(count).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)
        served = session.run(list(OUTPUTS), {"pixels": pixels})
        with torch.inference_mode():
            trained = [output.numpy() for output in detector(torch.from_numpy(pixels))]
        for name, one, other in zip(OUTPUTS, served, trained, strict=True):
            assert one.dtype == np.float32
            np.testing.assert_allclose(
                one, other, rtol=1e-4, atol=1e-4 * max(1, np.abs(other).max()), err_msg=name
            )
    assert_no_place(tmp_path / "model.onnx")


def assert_no_place(path: Path) -> None:
    """Neither a folder of this machine nor a source file may be read out of a graph that is shipped."""
    content = path.read_bytes()
    folders = (Path.home(), Path.cwd(), Path(torch.__file__).parents[2], path.parent)
    for place in (*map(str, folders), "site-packages", ".py", "stack_trace"):
        assert place.encode() not in content, place


@pytest.mark.e2e
def test_equal_weights_give_equal_bytes(tmp_path, monkeypatch):
    torch.manual_seed(0)
    first = Detector("forensic_cnn", 3, SIZE)
    twin, other = Detector("forensic_cnn", 3, SIZE), Detector("forensic_cnn", 3, SIZE)
    twin.load_state_dict(first.state_dict())
    to_onnx(first, tmp_path / "first.onnx")
    monkeypatch.chdir(tmp_path)
    to_onnx(twin.train(), Path("twin.onnx"))
    to_onnx(other, tmp_path / "other.onnx")
    graphs = [(tmp_path / f"{name}.onnx").read_bytes() for name in ("first", "twin", "other")]
    assert graphs[0] == graphs[1]
    assert graphs[0] != graphs[2]


class Answering:
    """A detector of fixed answers."""

    def __init__(self, **answers):
        self._answers = {name: torch.tensor(values) for name, values in answers.items()}

    def __call__(self, pixels):
        return tuple(self._answers[name] for name in OUTPUTS)


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize("wrong", [2e-4, -2e-4, np.nan])
def test_parity_holds_for_every_output(tmp_path, name, wrong):
    signed = packages.make(tmp_path)
    pixels = np.full((2, packages.SIZE, packages.SIZE, 3), (250, 100, 20), np.uint8)
    served = OnnxModel(signed.path, signed.info).run(pixels, OUTPUTS)
    assert max(check_parity(signed.path, signed.info, Answering(**served), pixels).values()) == 0
    served[name][1].flat[0] += 5e-5
    measured = check_parity(signed.path, signed.info, Answering(**served), pixels)
    assert measured[name] == pytest.approx(5e-5, rel=1e-2)
    served[name][1].flat[0] += wrong - 5e-5
    with pytest.raises(PackageError, match=f"{name}.*do not ship it"):
        check_parity(signed.path, signed.info, Answering(**served), pixels)


def test_parity_forgives_the_heat_map_of_another_label_between_equals(tmp_path):
    signed = packages.make(tmp_path)
    pixels = np.full((2, packages.SIZE, packages.SIZE, 3), 128, np.uint8)
    served = OnnxModel(signed.path, signed.info).run(pixels, OUTPUTS)
    served["heatmap"] += 1
    assert check_parity(signed.path, signed.info, Answering(**served), pixels)["heatmap"] == 0
