import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonafide.model import augmentation
from bonafide.model.augmentation import AUGMENTATIONS, content, traces
from tests.data.pictures import picture

PIXELS = np.asarray(picture(3, 32, 32))


@pytest.mark.parametrize("augment", AUGMENTATIONS.values(), ids=AUGMENTATIONS)
@given(st.integers(0, 10**6), st.sampled_from([32, 33, 48]))
def test_shape_and_type_stay_and_the_generator_decides(augment, seed, size):
    pixels = np.asarray(picture(seed % 7, size, size))
    before = pixels.copy()
    first, second = (augment(pixels, np.random.default_rng(seed)) for _ in range(2))
    assert first.shape == (size, size, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, second)
    assert np.array_equal(pixels, before)


def test_images_are_turned_and_flipped_every_way():
    """Eight ways to lay a picture; contrast and brightness keep the order of its grey levels."""
    ways = [np.rot90(side, turns) for side in (PIXELS, PIXELS[:, ::-1]) for turns in range(4)]
    seen = set()
    for seed in range(120):
        changed = traces(PIXELS, np.random.default_rng(seed)).astype(float)
        likeness = [np.corrcoef(changed.ravel(), way.ravel())[0, 1] for way in ways]
        assert max(likeness) > 0.9
        seen.add(int(np.argmax(likeness)))
    assert seen == set(range(8))


def test_brightness_and_contrast_vary_within_their_bounds(monkeypatch):
    monkeypatch.setattr(augmentation, "DEGRADE", 0)
    two = np.full((8, 8, 3), 110, np.uint8)
    two[:4] = 140
    changed = [traces(two, np.random.default_rng(seed)).astype(int) for seed in range(300)]
    contrast = np.array([image.max() - image.min() for image in changed]) / 30
    brightness = np.array([(image.max() + image.min()) / 2 - 127.5 + 2.5 for image in changed])
    assert 0.66 <= contrast.min() < 0.75
    assert 1.25 < contrast.max() <= 1.34
    assert -29 < brightness.min() < -20
    assert 20 < brightness.max() < 29


@pytest.mark.parametrize("share", [0, 1])
def test_degradations_are_as_rare_as_they_say(monkeypatch, share):
    calls = []
    monkeypatch.setattr(augmentation, "DEGRADE", share)
    monkeypatch.setattr(augmentation, "_degrade", lambda pixels, random: calls.append(1) or pixels)
    for seed in range(20):
        traces(PIXELS, np.random.default_rng(seed))
    assert len(calls) == 20 * share


@pytest.mark.parametrize("kind", range(3))
def test_a_degradation_changes_little(kind):
    """Re-encoding, blur and resizing: what is fine goes, what is coarse stays where it was."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    for seed in range(40):
        if np.random.default_rng(seed).integers(3) != kind:
            continue
        rough, smooth = (
            augmentation._degrade(pixels, np.random.default_rng(seed)) for pixels in (noise, PIXELS)
        )
        assert rough.shape == smooth.shape == (32, 32, 3)
        assert not np.array_equal(rough, noise)
        assert np.corrcoef(smooth.ravel(), PIXELS.ravel())[0, 1] > 0.97


def test_content_is_mirrored_and_shifted_but_never_turned(monkeypatch):
    monkeypatch.setattr(augmentation, "CUT_OUT", 0)
    wide = np.zeros((32, 32, 3), np.uint8)
    wide[:8, :8] = 200
    places = set()
    for seed in range(200):
        bright = content(wide, np.random.default_rng(seed)).mean(axis=2) > 120
        places.add((bool(bright[:12].any()), bool(bright[20:].any()), bool(bright[:, :12].any())))
    assert places == {(True, False, True), (True, False, False)}


def test_a_part_of_the_content_is_covered_now_and_then():
    plain = np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8)
    covered = 0
    for seed in range(200):
        changed = content(plain, np.random.default_rng(seed))
        windows = np.lib.stride_tricks.sliding_window_view(changed, (10, 10), axis=(0, 1))
        covered += bool((np.ptp(windows, axis=(3, 4)).max(axis=2) == 0).any())
    assert 70 < covered < 130
