import subprocess
import sys
import textwrap

import pytest
import torch

from bonafide.model.vision import torchvision


def test_models_and_transforms_work():
    from torchvision.transforms import v2

    assert torchvision.models.mobilenet_v3_small(num_classes=2)(torch.zeros(2, 3, 32, 32)).shape == (2, 2)
    assert v2.Resize(16)(torch.zeros(3, 32, 32)).shape == (3, 16, 16)


@pytest.mark.e2e
def test_what_needs_torchvision_imports_after_it_in_a_fresh_process():
    """Also where the compiled operators do not load, as beside a torch of another build."""
    script = """
        import sys, torch

        def refuse(path):
            raise OSError("undefined symbol")

        torch.ops.load_library = refuse
        from bonafide.model import vision
        import torchmetrics.image, pytorch_grad_cam
        schema = torch.ops.torchvision.nms.default._schema
        assert [argument.name for argument in schema.arguments] == ["dets", "scores", "iou_threshold"]
    """
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
