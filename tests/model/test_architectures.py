import numpy as np
import pytest
import torch

from bonafide.model import vision  # noqa: F401  (before grad-cam, which imports torchvision)
from bonafide.model.architectures import HIGH_PASS, Detector, HighPass
from tests.conftest import ARCHITECTURES, SIZE

from pytorch_grad_cam import GradCAM  # isort: skip
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget  # isort: skip


def random_pixels(count: int, size: int = SIZE, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8))


class FromImage(torch.nn.Module):
    """A detector's logits of a float image, which grad-cam can follow back."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.backbone, self.head = detector.backbone, detector.head

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.backbone(image).mean(dim=(2, 3)))


def grad_cam(detector: Detector, pixels: torch.Tensor, classes: list[int]) -> np.ndarray:
    """pytorch-grad-cam's maps of one class an image, before it resizes them."""
    image = pixels.permute(0, 3, 1, 2).float().div(127.5).sub(1)
    targets = [ClassifierOutputTarget(number) for number in classes]
    with GradCAM(FromImage(detector), [detector.backbone]) as cam:
        cam(image, targets)
        (activations,) = (tensor.numpy() for tensor in cam.activations_and_grads.activations)
        (gradients,) = (tensor.numpy() for tensor in cam.activations_and_grads.gradients)
        maps = cam.get_cam_image(image, detector.backbone, targets, activations, gradients, False)
    return np.maximum(maps, 0)


def test_outputs(detector):
    with torch.inference_mode():
        probabilities, embedding, heatmap = detector(random_pixels(5))
    assert [output.dtype for output in (probabilities, embedding, heatmap)] == [torch.float32] * 3
    assert probabilities.shape == (5, 3)
    assert embedding.shape == (5, detector.embedding_size) == (5, 32)
    assert heatmap.shape == (5, *detector.heatmap_size())
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(5))
    assert probabilities.min() >= 0
    assert heatmap.min() >= 0


def test_the_heat_map_is_grad_cam(detector):
    pixels = random_pixels(12)
    with torch.inference_mode():
        probabilities, _, ours = detector(pixels)
    theirs = grad_cam(detector, pixels, probabilities.argmax(dim=1).tolist())
    peaks = ours.numpy().max(axis=(1, 2))
    shown = peaks > 0
    assert shown.sum() >= 6, "too few maps to compare"
    np.testing.assert_array_equal(theirs.max(axis=(1, 2)) > 0, shown)
    ours = ours.numpy()[shown] / peaks[shown, None, None]
    theirs = theirs[shown] / theirs[shown].max(axis=(1, 2), keepdims=True)
    assert np.abs(ours - theirs).max() < 1e-4


def test_temperature_divides_the_logits_and_changes_no_answer(detector):
    pixels = random_pixels(4)
    with torch.inference_mode():
        expected = (detector.logits(pixels) / detector.get_buffer("temperature")).softmax(dim=1)
        torch.testing.assert_close(detector(pixels)[0], expected)


def test_the_embedding_is_a_projection_of_the_centred_pooled_features(detector):
    pixels = random_pixels(4)
    with torch.inference_mode():
        pooled = detector.features(pixels).mean(dim=(2, 3)) - detector.get_buffer("projection_mean")
        expected = torch.stack([detector.get_buffer("projection") @ row for row in pooled])
        torch.testing.assert_close(detector(pixels)[1], expected, rtol=1e-4, atol=1e-4)


def test_pixels_are_normalised_inside():
    detector = Detector("forensic_cnn", 2, SIZE)
    seen = []
    detector.backbone.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    pixels = torch.zeros(1, SIZE, SIZE, 3, dtype=torch.uint8)
    pixels[0, 1, 2] = torch.tensor([0, 127, 255])
    detector.features(pixels)
    assert seen[0].shape == (1, 3, SIZE, SIZE)
    torch.testing.assert_close(seen[0][0, :, 1, 2], torch.tensor([-1.0, 127 / 127.5 - 1, 1.0]))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_small_images_stay_large(architecture):
    sides = {size: Detector(architecture, 2, size).heatmap_size()[0] for size in (64, 128)}
    larger = 4 if architecture == "forensic_cnn" else 16
    assert sides == {64: 64 // larger, 128: 128 // (2 * larger)}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_batch_norm_follows_quickly(architecture):
    norms = [
        module
        for module in Detector(architecture, 2, SIZE).modules()
        if isinstance(module, torch.nn.BatchNorm2d)
    ]
    assert len(norms) >= 10
    assert {module.momentum for module in norms} == {0.1}


@pytest.mark.e2e
def test_a_short_training_does_not_collapse_in_evaluation():
    """With torchvision's momentum of 0.01 the running statistics lag and one class is all it says."""
    torch.manual_seed(0)
    labels = torch.arange(12) % 3
    pixels = random_pixels(12).div(2).byte() + (60 * labels).byte()[:, None, None, None]
    detector = Detector("mobilenet_v3_small", 3, SIZE).train()
    optimiser = torch.optim.AdamW(detector.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=120)
    for _ in range(120):
        loss = torch.nn.functional.cross_entropy(detector.logits(pixels), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.inference_mode():
        answers = detector.eval()(pixels)[0].argmax(dim=1)
    assert (answers == labels).float().mean() > 0.8


def test_the_forensic_cnn_is_small():
    parameters = sum(weights.numel() for weights in Detector("forensic_cnn", 3, 64).parameters())
    assert parameters < 1_000_000


def test_dropout_acts_in_training_alone():
    detector = Detector("forensic_cnn", 3, SIZE, dropout=0.5).eval()
    pixels = random_pixels(8)
    with torch.inference_mode():
        assert torch.equal(detector.logits(pixels), detector.logits(pixels))
        detector.dropout.train()
        assert not torch.equal(detector.logits(pixels), detector.logits(pixels))


def test_the_high_pass_keeps_the_image_and_ignores_what_is_smooth():
    filters = HighPass()
    flat = torch.full((1, 3, 12, 12), 0.3)
    flat[:, 1] = -0.8
    out = filters(flat)
    assert out.shape == (1, HighPass.channels, 12, 12)
    assert torch.equal(out[:, :3], flat)
    torch.testing.assert_close(out[:, 3:], torch.zeros(1, 15, 12, 12), atol=1e-4, rtol=0)
    assert all(np.sum(kernel) == 0 for kernel in HIGH_PASS)


def test_a_residual_is_of_its_own_channel_and_bounded():
    filters = HighPass()
    image = torch.zeros(1, 3, 12, 12)
    image[0, 1, 6, 6] = 1
    residuals = filters(image)[0, 3:]
    touched = [number for number, residual in enumerate(residuals) if residual.abs().max() > 0]
    assert touched == [5, 6, 7, 8, 9]
    assert residuals.abs().max() == 3
    weak = filters(image / 100)[0, 3:]
    torch.testing.assert_close(weak[7, 6, 6], torch.tensor(0.1))
