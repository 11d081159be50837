import numpy as np
import pytest
import torch

from bonafide.sources import decoders
from bonafide.sources.decoders import FAMILIES, LATENT, BlockPca, resynthesise
from bonafide.task import load_task
from tests.data.pictures import picture


@pytest.fixture(scope="module")
def pixels():
    return np.stack([np.asarray(picture(seed, 32, 32)) for seed in range(40)])


@pytest.fixture(scope="module")
def fakes(pixels):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoders, "STEPS", 60)
        patch.setattr(decoders, "BATCH", 8)
        return [dict(resynthesise(pixels, seed)) for seed in (1, 1, 2)]


def test_the_families_are_those_that_the_task_speaks_of():
    assert len(FAMILIES) >= 4
    held_out = load_task("authenticity").split.held_out_generators
    assert held_out
    assert set(held_out) < set(FAMILIES)


def test_every_family_reconstructs_every_image(pixels, fakes):
    assert list(fakes[0]) == list(FAMILIES)
    for made in fakes[0].values():
        assert made.shape == pixels.shape
        assert made.dtype == np.uint8
        error = np.abs(made.astype(int) - pixels).mean()
        assert 0 < error < 0.7 * np.abs(pixels - pixels.mean(axis=(1, 2), keepdims=True)).mean()


def test_a_family_leaves_traces_of_its_own(fakes):
    made = list(fakes[0].values())
    for one in range(len(made)):
        for other in range(one):
            assert not np.array_equal(made[one], made[other])


def test_the_seed_decides_the_bytes(fakes):
    for family in FAMILIES:
        assert np.array_equal(fakes[0][family], fakes[1][family])
        assert not np.array_equal(fakes[0][family], fakes[2][family])


def test_the_latent_is_white(pixels):
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255)
    noisy = images + 0.05 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    latent = BlockPca.fit(noisy)(noisy)
    assert latent.shape == (40, LATENT, 8, 8)
    numbers = latent.permute(1, 0, 2, 3).reshape(LATENT, -1)
    torch.testing.assert_close(numbers.mean(dim=1), torch.zeros(LATENT), atol=1e-3, rtol=0)
    covariance = numbers @ numbers.T / numbers.shape[1]
    torch.testing.assert_close(covariance, torch.eye(LATENT), atol=1e-2, rtol=0)


def test_the_latent_follows_the_block_it_encodes():
    images = torch.rand(20, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    encode = BlockPca.fit(images)
    before = encode(images)
    images[0, :, 4:8, 8:12] = 0
    changed = (encode(images) != before).any(dim=1)
    assert changed.nonzero().tolist() == [[0, 1, 2]]


def test_more_images_of_the_same_generators_change_none(pixels, monkeypatch):
    monkeypatch.setattr(decoders, "STEPS", 3)
    monkeypatch.setattr(decoders, "BATCH", 8)
    alone, among = dict(resynthesise(pixels[:20], 1)), dict(resynthesise(pixels, 1, taught=20))
    for family, images in among.items():
        assert len(images) == len(pixels)
        assert (images[:20] == alone[family]).all()
