"""Random state dicts, named as those are that others publish."""

import torch

# Kernel, stride, expansion, input and output channels, as EfficientNet-PyTorch has them for Lite0.
STAGES = (
    "r1_k3_s1_e1_i32_o16",
    "r2_k3_s2_e6_i16_o24",
    "r2_k5_s2_e6_i24_o40",
    "r3_k3_s2_e6_i40_o80",
    "r3_k5_s1_e6_i80_o112",
    "r4_k5_s2_e6_i112_o192",
    "r1_k3_s1_e6_i192_o320",
)


def _blocks():
    for stage in STAGES:
        repeats, kernel, stride, expansion, inputs, outputs = (int(part[1:]) for part in stage.split("_"))
        yield kernel, stride, expansion, inputs, outputs
        yield from [(kernel, 1, expansion, outputs, outputs)] * (repeats - 1)


BLOCKS = tuple(_blocks())


def lite0(seed: int = 0) -> dict[str, torch.Tensor]:
    """EfficientNet-Lite0 by the names of EfficientNet-PyTorch, its head of 1000 classes included."""
    random, state = torch.Generator().manual_seed(seed), {}

    def convolution(name, outputs, inputs, kernel=1):
        shape = (outputs, inputs, kernel, kernel)
        state[f"{name}.weight"] = torch.randn(shape, generator=random) * (2 / inputs / kernel**2) ** 0.5

    def norm(name, channels):
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.{part}"] = torch.rand(channels, generator=random) * 0.5
        state[f"{name}.weight"] += 0.75
        state[f"{name}.running_var"] += 0.75
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    convolution("_conv_stem", 32, 3, 3)
    norm("_bn0", 32)
    for number, (kernel, _, expansion, inputs, outputs) in enumerate(BLOCKS):
        block, inner = f"_blocks.{number}.", expansion * inputs
        if expansion > 1:
            convolution(f"{block}_expand_conv", inner, inputs)
            norm(f"{block}_bn0", inner)
        convolution(f"{block}_depthwise_conv", inner, 1, kernel)
        norm(f"{block}_bn1", inner)
        convolution(f"{block}_project_conv", outputs, inner)
        norm(f"{block}_bn2", outputs)
    convolution("_conv_head", 1280, 320)
    norm("_bn1", 1280)
    state["_fc.weight"], state["_fc.bias"] = torch.zeros(1000, 1280), torch.zeros(1000)
    return state
