"""What every system is measured with: one model in each form that a server wants, and the same JPEG files.

The weights are random: how long a network takes does not depend on what it has learnt.
"""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from safetensors.torch import save_file

from bonafide import __version__
from bonafide.data.decoding import decode, decode_to, fit
from bonafide.model import package, signing
from bonafide.model.architectures import Detector
from bonafide.model.decision import Decision
from bonafide.model.graph import to_onnx
from bonafide.model.info import ImageInput
from bonafide.model.package import PackageInfo
from bonafide.sources.photographs import PHOTOGRAPHS

SEED = 42
LABELS = ("real", "ai-generated", "deepfake")
QUALITY = 90
HEAD_GAIN = 20  # probabilities that differ from image to image, so that a mixed-up answer is seen
SCENES = ("astronaut", "chelsea", "coffee", "motorcycle", "rocket", "china", "flower", "grace-hopper")


@dataclass(frozen=True)
class Subject:
    """The folder of a model's forms, of what it is asked about (``0.jpg`` …) and of the right answers."""

    folder: Path

    @property
    def package(self) -> Path:
        """The signed package, for Bonafide."""
        return self.folder / "package"

    @property
    def graph(self) -> Path:
        """The ONNX graph inside the package, for ONNX Runtime."""
        return self.package / "model.onnx"

    @property
    def weights(self) -> Path:
        """The state dict of torchvision's network, as safetensors, for servers that run torch."""
        return self.folder / "model.safetensors"

    @property
    def public_key(self) -> Path:
        """The key that the package is signed with."""
        return self.folder / "keys" / "signing.pub"

    @property
    def expected(self) -> Path:
        """Right answers float32 [files, K]; for images, decoded as Bonafide does."""
        return self.folder / "expected.npy"

    @property
    def expected_plain(self) -> Path:
        """Right answers float32 [files, K]; for images, decoded whole, then resized by Pillow."""
        return self.folder / "expected_plain.npy"


def make(folder: Path, architecture: str, size: int, side: int) -> Subject:
    """Build the model for ``size`` px and photographs of ``side`` × ``side`` px."""
    jpegs = [_jpeg(name, side) for name in SCENES]
    pixels = np.stack([decode_to(jpeg, size) for jpeg in jpegs])
    plain = np.stack([fit(decode(jpeg).pixels, size) for jpeg in jpegs])
    detector = _detector(architecture, size, torch.from_numpy(pixels))
    folder.mkdir(parents=True, exist_ok=True)
    to_onnx(detector, folder / "model.onnx")
    info = PackageInfo(
        task="authenticity",
        labels=LABELS,
        architecture=architecture,
        input=ImageInput(size=size),
        temperature=1.0,
        decision=Decision(thresholds=dict.fromkeys(LABELS, 0)),
        embedding_size=detector.embedding_size,
        heatmap_size=detector.heatmap_size(),
        metrics={},
        data_digest="0" * 64,
        code_version=__version__,
        run_id=None,
        created="2026-01-01T00:00:00Z",
    )
    key = signing.ensure_key(folder / "keys").private
    package.build(folder / "package", info, {"model.onnx": folder / "model.onnx"}, key)
    save_file(_torchvision_names(detector), folder / "model.safetensors")
    subject = Subject(folder)
    for number, jpeg in enumerate(jpegs):
        (folder / f"{number}.jpg").write_bytes(jpeg)
    session = onnxruntime.InferenceSession(subject.graph, providers=["CPUExecutionProvider"])
    for path, images in ((subject.expected, pixels), (subject.expected_plain, plain)):
        np.save(path, session.run(["probabilities"], {"pixels": images})[0])
    return subject


def _detector(architecture: str, size: int, pixels: torch.Tensor) -> Detector:
    """Random weights with BatchNorm statistics of real photographs, so that no activation runs away."""
    torch.manual_seed(SEED)
    detector = Detector(architecture, len(LABELS), size)
    norms = [module for module in detector.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        detector.train()(pixels)
    detector.head.weight.data.mul_(HEAD_GAIN)
    return detector.eval()


def _torchvision_names(detector: Detector) -> dict[str, torch.Tensor]:
    """The weights under the names that torchvision's own network has."""
    features = {f"features.{name}": value for name, value in detector.backbone.state_dict().items()}
    head = {f"classifier.1.{name}": value for name, value in detector.head.state_dict().items()}
    return {name: value.contiguous() for name, value in (features | head).items()}


def _jpeg(name: str, side: int) -> bytes:
    photograph = next(found for found in PHOTOGRAPHS if found.name == name).open()
    shorter = min(photograph.size)
    left, top = ((length - shorter) // 2 for length in photograph.size)
    square = photograph.resize((side, side), box=(left, top, left + shorter, top + shorter))
    stream = BytesIO()
    square.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()
