"""torchvision, importable also where its compiled operators do not fit the torch build.

torchvision's wheels are built against CUDA torch; beside a CPU-only torch its import fails because ``nms`` is
not registered. Declaring the operators' schemas first is enough for models and transforms. Everything that
needs torchvision, or a library that imports it (lightning, torchmetrics, grad-cam), imports it through here.
"""

import importlib.util
from pathlib import Path

import torch


def _declare_missing_operators() -> None:
    found = importlib.util.find_spec("torchvision")
    if found is None or not found.submodule_search_locations:
        return
    binary = next(Path(found.submodule_search_locations[0]).glob("_C*.so"), None)
    try:
        torch.ops.load_library(str(binary))
    except (OSError, RuntimeError):
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _LIBRARIES.append(library)


_LIBRARIES: list[torch.library.Library] = []
_declare_missing_operators()

import torchvision  # noqa: E402

__all__ = ["torchvision"]
