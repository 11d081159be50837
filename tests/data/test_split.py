import hashlib
import itertools
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonafide.data import dataset
from bonafide.data.dataset import ALL
from bonafide.data.pictures import merge_groups
from bonafide.data.placement import PLACEMENT, Assignment, Rows, assign, hashed, read_placement
from bonafide.data.split import split
from bonafide.data.validate import validate
from bonafide.errors import DataError
from bonafide.task import Split, Validation
from tests.data.pictures import encode, picture, raw_images

THREE = {"train": 0.6, "val": 0.15, "test": 0.25}
CONFIG = Split()


class Image(NamedTuple):
    """Images of one subject are near duplicates if ``near`` says so, else unlike all others."""

    group: str
    subject: int
    near: bool


ROW = st.builds(Image, st.integers(0, 30).map("g{}".format), st.integers(0, 60), st.booleans())
GROWTH = st.lists(st.lists(ROW, max_size=25), min_size=2, max_size=4).map(
    lambda parts: list(itertools.accumulate(parts))
)
FOUR = {"train": 0.5, "val": 0.15, "test": 0.25, "holdout": 0.1}


def groups_of(images: list[Image]) -> Rows:
    subjects = [str(image.subject if image.near else (number,)) for number, image in enumerate(images)]
    hashes = [hashlib.sha256(subject.encode()).hexdigest()[:16] for subject in subjects]
    groups = [image.group for image in images]
    unseen = [image.subject % 7 == 0 for image in images]
    return Rows(groups, merge_groups(hashes, groups, distance=0), [None] * len(images), unseen)


def check(rows: Rows, found: Assignment, before: dict[str, str]) -> None:
    """Each image is where it has to be after ``before``."""
    parts = [rows.merged.get(group, group) for group in rows.groups]
    placed: dict[str, set[str]] = {part: set() for part in parts}
    for group, part in zip(rows.groups, parts, strict=True):
        placed[part] |= {before[group]} if group in before else set()
    for group, part, place in zip(rows.groups, parts, found.splits, strict=True):
        if group in before:
            assert place == before[group]
        elif len(placed[part]) == 1:
            assert {place} == placed[part], "a near duplicate joins what is placed"
        else:
            assert (place is None) == (len(placed[part]) > 1), "only what bridges two splits is left out"
    homes = {(name, place) for name, place in zip(found.names, found.splits, strict=True) if place}
    assert len({name for name, _ in homes}) == len(homes), "one name in two splits"


@settings(max_examples=200, deadline=None)
@given(stages=GROWTH, seed=st.integers(0, 5))
def test_whatever_is_added_no_group_changes_its_split(stages, seed):
    before: dict[str, str] = {}
    for images in stages:
        rows = groups_of(images)
        found = assign(rows, FOUR, seed, before)
        check(rows, found, before)
        assert before.items() <= found.places.items()
        assert assign(rows, FOUR, seed, before) == found
        before = found.places


@settings(max_examples=100, deadline=None)
@given(stages=GROWTH, seed=st.integers(0, 5))
def test_without_near_duplicates_nothing_has_to_be_inherited(stages, seed):
    before: dict[str, str] = {}
    for images in stages:
        groups = [image.group for image in images]
        found = assign(Rows(groups, {}, [None] * len(groups), [False] * len(groups)), FOUR, seed, {})
        assert before.items() <= found.places.items()
        assert found.places.keys() == set(groups)
        before = found.places


@pytest.mark.parametrize("seed", range(20))
def test_shares_of_labels_stay_within_the_stated_bound(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 60, (400, 3)) * rng.integers(0, 2, (400, 3))
    groups = [f"photo-{number}" for number in range(400)]
    rows = Rows(groups, {}, [None] * 400, [False] * 400)
    where = np.array(assign(rows, THREE, seed, {}).splits)
    for label in range(3):
        counts = sizes[:, label]
        effective = counts.sum() ** 2 / (counts**2).sum()
        for name, wanted in THREE.items():
            share = counts[where == name].sum() / counts.sum()
            assert abs(share - wanted) <= 5 * np.sqrt(wanted * (1 - wanted) / effective)


def test_seeds_differ():
    groups = [str(number) for number in range(300)]
    rows = Rows(groups, {}, [None] * 300, [False] * 300)
    one, same, other = (assign(rows, THREE, seed, {}).splits for seed in (1, 1, 2))
    assert one == same != other


def test_the_hash_stays_the_same_for_ever():
    """SHA-256 of ``42, NUL, a`` begins with 0.8446 of its range: beyond train and val, hence test."""
    assert [hashed(group, 42, THREE) for group in ("a", "b", "c", "é")] == ["test", "val", "test", "train"]


def test_a_split_that_is_no_longer_wanted_gives_its_groups_back():
    rows = Rows(["a", "b"], {}, [None] * 2, [False] * 2)
    found = assign(rows, THREE, 1, {"a": "holdout", "b": "val", "gone": "test", "old": "holdout"})
    assert found.places == {"a": hashed("a", 1, THREE), "b": "val", "gone": "test"}


def prepare(make_dataset, tmp_path, images):
    folder, info = make_dataset(images)
    validate(folder, tmp_path / "validation", Validation(minimum_per_label=3, shortcut_limit=1), seed=1)
    return folder, tmp_path / "validation", info


def softer(image) -> bytes:
    """A near duplicate of an image of ``raw_images``."""
    return encode(picture(int(image.path[-9:-4])), quality=80)


def members(folder, name):
    return dataset.read(folder, name).to_pylist()


def test_the_split_dataset_holds_every_image_once(make_dataset, tmp_path):
    folder, validation, parent = prepare(make_dataset, tmp_path, raw_images(180, groups=60))
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
        for number, image in enumerate(raw_images(180, groups=60))
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


def test_a_group_made_by_a_held_out_generator_alone_goes_to_test_unless_it_is_placed():
    groups = [str(number) for number in range(80)]
    unseen = [number % 8 == 2 for number in range(80)]
    rows = Rows(groups, {}, [None] * 80, unseen)
    found = assign(rows, THREE, 1, {"2": "train"})
    assert {group: found.places[group] for group, alone in zip(groups, unseen, strict=True) if alone} == {
        str(number): "train" if number == 2 else "test" for number in range(2, 80, 8)
    }


def test_too_few_groups_is_an_error_that_says_what_to_do(make_dataset, tmp_path):
    folder, validation, _ = prepare(make_dataset, tmp_path, raw_images(90, groups=2))
    with pytest.raises(
        DataError, match=r"split '.*only 2 groups.*Add images from more sources.*another seed"
    ):
        split(folder, validation, tmp_path / "out", CONFIG, seed=1)
    assert not (tmp_path / "out").exists()


def test_placement_is_written_and_inherited(make_dataset, tmp_path):
    """Half the images first; then all of them, with another seed that would place them elsewhere."""
    images = raw_images(360, groups=120)
    folder, validation, _ = prepare(make_dataset, tmp_path, images[:180])
    split(folder, validation, tmp_path / "first", CONFIG, seed=1)
    before = {row["group"]: row["split"] for row in pq.read_table(tmp_path / "first" / PLACEMENT).to_pylist()}
    assert before == {row["group"]: name for name in THREE for row in members(tmp_path / "first", name)}
    assert list(before) == sorted(before)
    folder, validation, _ = prepare(make_dataset, tmp_path, images)
    split(folder, validation, tmp_path / "second", CONFIG, 2, tmp_path / "first" / PLACEMENT)
    after = read_placement(tmp_path / "second" / PLACEMENT)
    assert before.items() < after.items()
    assert after == before | {group: hashed(group, 2, THREE) for group in after if group not in before}
    assert {row["group"] for row in members(tmp_path / "second", "test")} == {
        group for group, name in after.items() if name == "test"
    }


def test_what_bridges_two_splits_is_left_out(make_dataset, tmp_path):
    images = raw_images(180, groups=60)
    folder, validation, _ = prepare(make_dataset, tmp_path, images)
    split(folder, validation, tmp_path / "first", CONFIG, seed=1)
    before = read_placement(tmp_path / "first" / PLACEMENT)
    ends = [next(image for image in images if before[image.group] == name) for name in ("train", "test")]
    bridge = [
        replace(end, path=f"real/b{n}.jpg", content=softer(end), group="bridge") for n, end in enumerate(ends)
    ]
    folder, validation, _ = prepare(make_dataset, tmp_path, images + bridge)
    info = split(folder, validation, tmp_path / "second", CONFIG, 1, tmp_path / "first" / PLACEMENT)
    assert info.excluded == {"near-duplicate-across-splits": 2}
    homes = {row["group"]: name for name in THREE for row in members(tmp_path / "second", name)}
    assert homes == before == read_placement(tmp_path / "second" / PLACEMENT)


@pytest.mark.parametrize("content", [None, b"no table", "other columns"])
def test_a_placement_that_is_none_is_refused(make_dataset, tmp_path, content):
    folder, validation, _ = prepare(make_dataset, tmp_path, raw_images(90, groups=30))
    path = tmp_path / PLACEMENT
    if content == "other columns":
        pq.write_table(pa.table({"group": ["a"]}), path)
    elif content:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"placement\.parquet.*give the one"):
        split(folder, validation, tmp_path / "out", CONFIG, 1, path)


def test_a_failed_audit_is_refused_with_its_reasons(make_dataset, tmp_path):
    folder, _ = make_dataset(raw_images(90))
    validate(folder, tmp_path / "validation", Validation(minimum_per_label=31), seed=1)
    with pytest.raises(DataError, match=r"not fit.*minimum-per-label.*validation\.html"):
        split(folder, tmp_path / "validation", tmp_path / "out", CONFIG, seed=1)
    assert (tmp_path / "validation" / "validation.html").is_file()


def test_another_dataset_s_audit_is_refused(make_dataset, tmp_path):
    _, validation, _ = prepare(make_dataset, tmp_path, raw_images(90))
    folder, _ = make_dataset(raw_images(93))
    with pytest.raises(DataError, match="of another dataset"):
        split(folder, validation, tmp_path / "out", CONFIG, seed=1)


def as_given(images, test, rest="train"):
    """The source's own split by photograph."""
    return [replace(image, given="test" if image.group in test else rest) for image in images]


TEST = {f"photo-{number:02d}" for number in range(0, 40, 4)}


def test_a_given_test_set_is_the_test_split_and_train_is_divided(make_dataset, tmp_path):
    images = as_given(raw_images(240, groups=40), TEST)
    folder, validation, _ = prepare(make_dataset, tmp_path, images)
    info = split(folder, validation, tmp_path / "out", Split(given=True), seed=1)
    assert {row["group"] for row in members(tmp_path / "out", "test")} == TEST
    assert sum(sum(counts.values()) for counts in info.counts.values()) == 240
    val = {row["group"] for row in members(tmp_path / "out", "val")}
    divided = {"train": 0.6, "val": 0.15}
    train = {image.group for image in images} - TEST
    assert val == {group for group in train if hashed(group, 1, divided) == "val"}
    ignored = split(folder, validation, tmp_path / "hashed", CONFIG, seed=1)
    assert ignored.digest != info.digest


def test_given_val_and_holdout_stay_and_what_is_not_given_is_placed(make_dataset, tmp_path):
    kinds = ["train", "val", "test", "holdout", None]
    images = [replace(image, given=kinds[int(image.group[-2:]) % 5]) for image in raw_images(300, groups=100)]
    folder, validation, _ = prepare(make_dataset, tmp_path, images)
    split(folder, validation, tmp_path / "out", Split(given=True), seed=1)
    for name in kinds[:-1]:
        rows = members(tmp_path / "out", name)
        assert {row["given"] for row in rows} <= {name, None}
        assert sum(row["given"] == name for row in rows) == 60
        for row in rows:
            assert row["given"] == name or hashed(row["group"], 1, THREE) == name


def test_near_and_exact_duplicates_of_a_given_test_set_leave_train(make_dataset, tmp_path):
    images = as_given(raw_images(240, groups=40), TEST)
    member = next(image for image in images if image.given == "test")
    twins = [
        replace(member, path="real/0.jpg", group="twin", given="train"),
        replace(member, path="real/1.jpg", group="near", given="train", content=softer(member)),
    ]
    folder, validation, _ = prepare(make_dataset, tmp_path, [*twins, *images])
    info = split(folder, validation, tmp_path / "out", Split(given=True), seed=1)
    assert info.excluded == {"duplicate": 1, "near-duplicate-across-splits": 1}
    assert {row["image"]["path"] for row in members(tmp_path / "out", "test")} == {
        image.path for image in images if image.given == "test"
    }


def test_a_source_without_a_split_of_its_own_is_told(make_dataset, tmp_path):
    folder, validation, _ = prepare(make_dataset, tmp_path, raw_images(90, groups=30))
    with pytest.raises(DataError, match=r"gives no split.*split\.given"):
        split(folder, validation, tmp_path / "out", Split(given=True), seed=1)


def test_an_unvalidated_dataset_is_refused(make_dataset, tmp_path):
    folder, _ = make_dataset(raw_images(30))
    with pytest.raises(DataError, match="run the validate step first"):
        split(folder, tmp_path / "nothing", tmp_path / "out", CONFIG, seed=1)
