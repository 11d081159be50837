import numpy as np
import pytest
from PIL import Image

from bonafide.data.shortcuts import FACTS, audit, file_facts
from tests.data.pictures import encode, picture


def test_facts_of_a_jpeg():
    exif = Image.Exif()
    exif[0x010F] = "camera"
    plain = file_facts(encode(picture(1, 40, 24), quality=90, subsampling="4:2:0"))
    rich = file_facts(
        encode(
            picture(1), quality=60, subsampling="4:4:4", progressive=True, exif=exif, icc_profile=b"x" * 200
        )
    )
    assert (plain["format"], plain["mode"], plain["width"], plain["height"]) == ("JPEG", "RGB", 40, 24)
    assert (plain["subsampling"], plain["progressive"], plain["exif"], plain["icc"]) == (
        "4:2:0",
        False,
        False,
        False,
    )
    assert (rich["subsampling"], rich["progressive"], rich["exif"], rich["icc"]) == (
        "4:4:4",
        True,
        True,
        True,
    )
    assert plain["quantisation"] != rich["quantisation"]
    assert plain["quantisation"] == file_facts(encode(picture(2), quality=90))["quantisation"]


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_facts_of_other_formats(kind):
    content = encode(picture(1), kind)
    facts = file_facts(content)
    assert facts["format"] == kind
    assert facts["quantisation"] == facts["subsampling"] == "none"
    assert facts["content_size"] == len(content)
    assert set(facts) == {*FACTS, "content_size"}


BASE = file_facts(encode(picture(1)))


def facts_with(fact: str, values) -> list[dict]:
    return [{**BASE, fact: value} for value in values]


LABELS = np.arange(300) % 3
GROUPS = [f"g{number // 3 % 10}" for number in range(300)]


def test_equal_files_score_chance():
    found = audit(facts_with("format", ["JPEG"] * 300), LABELS, GROUPS, seed=1)
    assert found.balanced_accuracy == pytest.approx(found.chance, abs=0.05)
    assert found.chance == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("fact", "values"),
    [
        ("format", ["JPEG", "PNG", "WEBP"]),
        ("quantisation", ["aaaa", "bbbb", "cccc"]),
        ("width", [64, 65, 63]),
        ("exif", [True, False, False]),
    ],
)
def test_a_fact_that_tells_the_label_is_named(fact, values):
    found = audit(facts_with(fact, [values[label] for label in LABELS]), LABELS, GROUPS, seed=1)
    assert found.worst_fact == fact
    assert found.balanced_accuracy == found.by_fact[fact] >= len(set(values)) / 3 - 0.01
    assert found.by_fact["icc"] < 0.4


def test_facts_that_tell_only_together_are_found():
    """Width and height each say nothing; their agreement is the label."""
    rng = np.random.default_rng(1)
    labels = np.arange(400) % 2
    widths = rng.integers(0, 2, 400)
    facts = [
        {**BASE, "width": 64 + int(width), "height": 64 + int(width ^ label)}
        for width, label in zip(widths, labels, strict=True)
    ]
    found = audit(facts, labels, [str(number) for number in range(400)], seed=1)
    assert found.balanced_accuracy > 0.95
    assert max(found.by_fact.values()) < 0.65


def test_a_fact_of_the_group_is_no_shortcut():
    """Each photograph has its own size; grouped folds do not let the tree learn it by heart."""
    labels = np.array([number // 30 % 2 for number in range(600)])
    groups = [f"g{number // 30}" for number in range(600)]
    facts = facts_with("width", np.random.default_rng(2).permutation(20).repeat(30).tolist())
    assert audit(facts, labels, groups, seed=1).balanced_accuracy < 0.8


def test_file_size_is_measured_apart():
    found = audit(facts_with("content_size", (1000 + 500 * LABELS).tolist()), LABELS, GROUPS, seed=1)
    assert found.content_size > 0.95
    assert found.balanced_accuracy < 0.4
    assert "content_size" not in found.by_fact


@pytest.mark.parametrize("groups", [["one"] * 12, ["a", "b"] * 6, [str(n) for n in range(12)]])
def test_few_images_and_groups(groups):
    found = audit(facts_with("format", ["JPEG", "PNG"] * 6), [0, 1] * 6, groups, seed=1)
    assert 0 <= found.balanced_accuracy <= 1
