import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonafide.data import dataset
from bonafide.data.dataset import ALL
from bonafide.data.split import LEFT_OUT, assign, split
from bonafide.data.validate import validate
from bonafide.errors import DataError
from bonafide.task import Split, Validation
from tests.data.pictures import encode, picture, raw_images

THREE = {"train": 0.6, "val": 0.15, "test": 0.25}
CONFIG = Split()


@settings(max_examples=100, deadline=None)
@given(data=st.data(), seed=st.integers(0, 5), holdout=st.booleans())
def test_no_group_in_two_splits_and_every_image_accounted_for(data, seed, holdout):
    rows = data.draw(
        st.lists(
            st.tuples(st.integers(0, 2), st.integers(0, 25), st.integers(0, 4)), min_size=1, max_size=120
        )
    )
    labels, groups, chance = np.array(rows).T
    unseen = chance == 0
    fractions = {"train": 0.5, "val": 0.15, "test": 0.25, "holdout": 0.1} if holdout else THREE
    where = assign(labels, groups, unseen, fractions, seed)
    for group in np.unique(groups):
        assert len(set(where[groups == group]) - {LEFT_OUT}) <= 1
    assert (where[~unseen] != LEFT_OUT).all()
    assert set(where[unseen]) <= {LEFT_OUT, 2}
    assert np.array_equal(where, assign(labels, groups, unseen, fractions, seed))


def test_groups_of_one_image_are_split_exactly():
    labels = np.arange(1000) % 2
    where = assign(labels, np.arange(1000), np.zeros(1000, bool), THREE, seed=1)
    for label in (0, 1):
        assert np.bincount(where[labels == label]).tolist() == [300, 75, 125]


def test_few_groups_come_as_close_as_the_best_assignment():
    """Ten groups of very different size; every assignment is tried for comparison."""
    sizes = np.array([400, 260, 220, 120, 90, 60, 50, 40, 20, 10])
    groups = np.repeat(np.arange(10), sizes)
    labels = np.concatenate([np.arange(size) % 3 for size in sizes])
    wanted = np.array(list(THREE.values()))

    def distance(shares: np.ndarray) -> float:
        return float(np.abs(shares - wanted).sum())

    where = assign(labels, groups, np.zeros(len(labels), bool), THREE, seed=1)
    found = distance(np.bincount(where, minlength=3) / len(labels))
    best = min(
        distance(np.bincount(place, weights=sizes, minlength=3) / sizes.sum())
        for place in itertools.product(range(3), repeat=10)
    )
    assert found <= best + 0.02


@pytest.mark.parametrize("seed", range(5))
def test_seventeen_groups_come_close_for_every_label(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(30, 500, 17)
    groups = np.repeat(np.arange(17), sizes)
    labels = rng.integers(0, 3, len(groups))
    where = assign(labels, groups, np.zeros(len(labels), bool), THREE, seed)
    for label in range(3):
        shares = np.bincount(where[labels == label], minlength=3) / (labels == label).sum()
        assert np.abs(shares - list(THREE.values())).max() < 0.04


def test_seeds_differ():
    groups = np.arange(300) // 10
    results = [assign(np.arange(300) % 2, groups, np.zeros(300, bool), THREE, seed) for seed in (1, 2)]
    assert not np.array_equal(*results)


def prepare(make_dataset, tmp_path, images):
    folder, info = make_dataset(images)
    validate(folder, tmp_path / "validation", Validation(minimum_per_label=3, shortcut_limit=1), seed=1)
    return folder, tmp_path / "validation", info


def members(folder, name):
    return dataset.read(folder, name).to_pylist()


def test_the_split_dataset_holds_every_image_once(make_dataset, tmp_path):
    folder, validation, parent = prepare(make_dataset, tmp_path, raw_images(180))
    info = split(folder, validation, tmp_path / "out", Split(holdout=0.1), seed=1)
    rows = {name: members(tmp_path / "out", name) for name in ("train", "val", "test", "holdout")}
    before = {row["sha256"]: row for row in members(folder, ALL)}
    after = {row["sha256"]: row for part in rows.values() for row in part}
    assert after == before
    assert sum(map(len, rows.values())) == 180
    groups = [{row["group"] for row in part} for part in rows.values()]
    assert all(not a & b for a, b in itertools.combinations(groups, 2))
    assert info.counts == {
        name: {label: sum(row["label_name"] == label for row in part) for label in parent.labels}
        for name, part in rows.items()
    }
    assert info.parents == (parent.digest,)
    assert info.seed == 1
    assert dataset.read_info(tmp_path / "out") == info
    assert info.digest != parent.digest


def test_the_same_seed_gives_the_same_digest(make_dataset, tmp_path):
    folder, validation, _ = prepare(make_dataset, tmp_path, raw_images(180))
    digests = [split(folder, validation, tmp_path / "out", CONFIG, seed).digest for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


def test_excluded_images_are_left_out_and_counted(make_dataset, tmp_path):
    images = raw_images(120)
    again = [replace(images[0], path=f"real/again-{number}.jpg") for number in range(2)]
    conflict = replace(images[1], path="deepfake/conflict.jpg", label_name="deepfake")
    folder, validation, _ = prepare(make_dataset, tmp_path, [*images, *again, conflict])
    info = split(folder, validation, tmp_path / "out", CONFIG, seed=1)
    assert info.excluded == {"duplicate": 2, "conflicting-labels": 2}
    assert sum(sum(counts.values()) for counts in info.counts.values()) == 119
    shas = [row["sha256"] for name in info.counts for row in members(tmp_path / "out", name)]
    assert len(set(shas)) == len(shas)


def test_merged_groups_stay_together_under_one_name(make_dataset, tmp_path):
    images = raw_images(180)
    twins = [
        replace(
            images[3 * n], path=f"real/t{n}.jpg", content=encode(picture(3 * n), quality=80), group=f"t{n}"
        )
        for n in range(6)
    ]
    folder, validation, _ = prepare(make_dataset, tmp_path, images + twins)
    info = split(folder, validation, tmp_path / "out", CONFIG, seed=1)
    homes = {
        row["image"]["path"]: (name, row["group"])
        for name in info.counts
        for row in members(tmp_path / "out", name)
    }
    for number, twin in enumerate(twins):
        assert homes[twin.path] == homes[images[3 * number].path]


def test_held_out_generators_reach_test_only(make_dataset, tmp_path):
    images = [
        replace(image, generator="unseen") if number % 3 == 1 and number % 2 else image
        for number, image in enumerate(raw_images(180))
    ]
    folder, validation, _ = prepare(make_dataset, tmp_path, images)
    info = split(folder, validation, tmp_path / "out", Split(held_out_generators=("unseen",)), seed=1)
    by_split = {
        name: [row for row in members(tmp_path / "out", name) if row["generator"] == "unseen"]
        for name in info.counts
    }
    assert by_split["train"] == by_split["val"] == []
    assert by_split["test"]
    assert info.excluded == {"held-out-generator": 30 - len(by_split["test"])}
    assert (
        sum(map(sum, (counts.values() for counts in info.counts.values())))
        == 180 - info.excluded["held-out-generator"]
    )


def test_a_group_made_by_a_held_out_generator_alone_goes_to_test():
    labels, groups = np.array([0, 0, 1, 1] * 20), np.arange(80)
    unseen = np.arange(80) % 8 == 2
    where = assign(labels, groups, unseen, THREE, seed=1)
    assert (where[unseen] == 2).all()


def test_too_few_groups_is_an_error_that_says_what_to_do(make_dataset, tmp_path):
    folder, validation, _ = prepare(make_dataset, tmp_path, raw_images(90, groups=2))
    with pytest.raises(DataError, match=r"split 'val'.*only 2 groups.*Add images from more sources"):
        split(folder, validation, tmp_path / "out", CONFIG, seed=1)
    assert not (tmp_path / "out").exists()


def test_an_unvalidated_dataset_is_refused(make_dataset, tmp_path):
    folder, _ = make_dataset(raw_images(30))
    with pytest.raises(DataError, match="validate the dataset first"):
        split(folder, tmp_path / "nothing", tmp_path / "out", CONFIG, seed=1)
