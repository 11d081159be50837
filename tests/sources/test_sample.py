import csv
import hashlib
import signal
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bonafide.data.placement import hashed
from bonafide.errors import DataError
from bonafide.sources import decoders, sample
from bonafide.sources.decoders import FAMILIES
from bonafide.sources.folder import read_folder
from bonafide.sources.photographs import PHOTOGRAPHS, Photograph
from bonafide.sources.sample import LABELS, alter, build_sample, cut, texture
from bonafide.sources.tree import find_tree
from bonafide.task import load_task

IMAGES, SIZE = 60, 32


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Three small ones: two of one seed, one of another."""
    folder = tmp_path_factory.mktemp("samples")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoders, "STEPS", 10)
        return [
            build_sample(folder / str(number), IMAGES, SIZE, seed) for number, seed in enumerate((1, 1, 2))
        ]


@pytest.fixture(scope="module")
def images(samples):
    return list(read_folder(find_tree(samples[0])))


def digests(folder) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def pixels(folder, name: str) -> np.ndarray:
    return np.asarray(Image.open(folder / name)).astype(int)


def test_the_seed_decides_the_bytes(samples):
    one, same, other = map(digests, samples)
    assert one == same
    assert {one[name] for name in one if name.endswith(".jpg")}.isdisjoint(other.values())


def test_the_classes_are_even_and_those_of_the_task(images, samples):
    labels = [image.label_name for image in images]
    assert set(LABELS) == set(load_task("authenticity").labels) == set(labels)
    assert {label: labels.count(label) for label in LABELS} == dict.fromkeys(LABELS, IMAGES // 3)


def test_a_region_is_the_group_and_the_family_the_generator(images):
    names = {photograph.name for photograph in PHOTOGRAPHS}
    assert {image.group.rpartition("-")[0] for image in images} == names
    for image in images:
        assert image.path.split("/")[1].startswith(f"{image.group}-")
        assert image.source == "offline-sample"
        assert image.generator is None if image.label_name == "real" else image.generator in FAMILIES
    for label in ("ai-generated", "deepfake"):
        assert {image.generator for image in images if image.label_name == label} == set(FAMILIES)


def test_every_photograph_is_credited(samples):
    with (samples[0] / "LICENCES.csv").open() as stream:
        rows = {row["name"]: row for row in csv.DictReader(stream)}
    assert set(rows) == {photograph.name for photograph in PHOTOGRAPHS}
    assert all(row["licence"] and row["credit"] and row["package"] and row["file"] for row in rows.values())


def test_file_facts_are_alike(samples):
    facts = set()
    for path in samples[0].rglob("*.jpg"):
        with Image.open(path) as image:
            tables = str(image.quantization)
            facts.add((image.format, image.mode, image.size, tables, str(image.layer), *sorted(image.info)))
    assert len(facts) == 1


def test_the_twins_show_the_same_content(samples):
    """Altered is nearer to its photograph than re-synthesised is, and neither is the photograph itself."""
    folder = samples[0]
    nearer = 0
    for real in sorted((folder / "real").iterdir()):
        patch = pixels(folder, f"real/{real.name}")
        fake, altered = (pixels(folder, f"{label}/{real.name}") for label in LABELS[1:])
        assert np.abs(altered - patch).max() > 0
        nearer += np.abs(altered - patch).mean() < np.abs(fake - patch).mean()
    assert nearer >= 0.7 * IMAGES / 3


def test_each_photograph_gives_as_many_textured_patches():
    names, patches = cut(2 * len(PHOTOGRAPHS), SIZE, seed=3)
    photographs = [name.rpartition("-")[0] for name in names]
    assert sorted(photographs) == sorted(2 * [photograph.name for photograph in PHOTOGRAPHS])
    assert patches.shape == (len(names), SIZE, SIZE, 3)
    assert min(map(texture, patches)) >= sample.TEXTURE
    assert len({patch.tobytes() for patch in patches}) == len(patches)


def test_regions_of_even_texture_give_as_many_patches_each():
    regions = Counter(cut(20 * len(PHOTOGRAPHS), SIZE, seed=3)[0])
    for name in ("brick", "grass", "gravel"):
        assert {regions[f"{name}-{number}"] for number in range(1, 5)} <= {4, 5, 6}
    assert len(regions) >= 50


@pytest.mark.parametrize("seed", [42, 1, 2, 3, 7])
def test_the_flagship_s_splits_have_enough_groups(seed):
    groups = Counter(cut(300, 64, seed)[0])
    config = load_task("authenticity").split
    fractions = {"train": 1 - config.val - config.test, "val": config.val, "test": config.test}
    places = Counter(hashed(group, seed, fractions) for group in groups)
    assert places["test"] >= 8
    assert places["val"] >= 4


def test_texture_wants_detail_in_most_of_the_patch():
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    half = noise.copy()
    half[:20] = 90
    assert texture(np.full((32, 32, 3), 90, np.uint8)) == 0
    assert texture(half) == 0
    assert texture(noise) > 50
    noise[:8, :16] = 90
    assert texture(noise) > 50


@given(st.integers(0, 10**6), st.sampled_from([32, 64, 96]))
def test_alter_replaces_one_soft_edged_region_and_no_byte_beside_it(seed, size):
    noise = np.random.default_rng(seed)
    patch, fake = noise.integers(0, 256, (2, size, size, 3), np.uint8)
    black, white = np.zeros_like(patch), np.full_like(patch, 255)
    mask = alter(black, white, np.random.default_rng(seed))[..., 0]
    outside, inside = mask == 0, mask == 255
    altered = alter(patch, fake, np.random.default_rng(seed))
    assert altered.dtype == np.uint8
    assert np.array_equal(altered[outside], patch[outside])
    assert np.array_equal(altered[inside], fake[inside])
    assert outside.mean() > 0.3
    assert 0.1 < inside.mean() < 0.5
    assert (~outside & ~inside).sum() > size, "the edge is soft"
    for lines in (~outside, ~outside.T):
        assert all(np.abs(np.diff(line.astype(int))).sum() <= 2 for line in lines), "in one piece"


def test_what_cannot_be_built_leaves_nothing(tmp_path, monkeypatch):
    gone = Photograph("moon", "skimage", "data/nothing.png", "CC0", "nobody")
    monkeypatch.setattr(sample, "PHOTOGRAPHS", (*PHOTOGRAPHS, gone))
    with pytest.raises(DataError, match="'moon'"):
        build_sample(tmp_path / "sample", IMAGES, SIZE, 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.e2e
def test_patches_of_every_allowed_size_are_found():
    def stop(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, 60)  # of the processor's time: others may be at work
    try:
        cut(len(PHOTOGRAPHS), 256, seed=1)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
