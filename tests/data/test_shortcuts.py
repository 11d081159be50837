import numpy as np
import pytest
from PIL import Image

from bonafide.data.pictures import WORDS
from bonafide.data.shortcuts import FACTS, audit_files, file_facts
from bonafide.data.telling import CHANCE, ShortcutAudit
from bonafide.data.validate import shortcut_check
from bonafide.task import Validation
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
LIMIT = Validation().shortcut_limit
GROUPS = [f"g{number // 3 % 10}" for number in range(300)]


def together(found: ShortcutAudit) -> float:
    return max(telling.value for telling in found.by_label.values())


def test_equal_files_score_chance():
    found = audit_files(facts_with("format", ["JPEG"] * 300), LABELS, GROUPS, seed=1)
    assert set(found.by_label) == {"0", "1", "2"}
    assert {telling.value for telling in (*found.by_label.values(), *found.by_fact.values())} == {CHANCE}
    assert found.worst.low == CHANCE


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
    found = audit_files(facts_with(fact, [values[label] for label in LABELS]), LABELS, GROUPS, seed=1)
    assert found.worst_fact == fact
    assert together(found) == found.by_fact[fact].value == found.worst.low == 1
    assert found.by_fact[fact].label == "0"
    assert found.by_fact["icc"].value == CHANCE


@pytest.mark.parametrize("count", [3, 4, 10])
def test_one_class_in_another_format_is_told_apart_among_many(count):
    labels = np.arange(40 * count) % count
    formats = ["PNG" if label == 2 else "JPEG" for label in labels]
    found = audit_files(facts_with("format", formats), labels, list(map(str, range(len(labels)))), seed=1)
    assert (found.worst.label, found.worst.low) == ("2", 1)
    assert found.worst.low > LIMIT


@pytest.mark.parametrize("each", [20, 200])
def test_a_format_that_tells_two_halves_of_ten_classes_is_a_shortcut(each):
    labels = np.arange(10 * each) % 10
    formats = ["PNG" if label < 5 else "JPEG" for label in labels]
    found = audit_files(facts_with("format", formats), labels, list(map(str, range(len(labels)))), seed=1)
    assert found.worst.value == pytest.approx((1 + 5 / 9) / 2)
    assert found.worst.low > LIMIT


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("each", [20, 150])
@pytest.mark.parametrize("count", [2, 3, 4, 10])
def test_facts_that_vary_alike_in_all_classes_are_no_shortcut(count, each, seed):
    """Of a hundred estimates over few images the highest is far above chance; the allowance covers that."""
    rng = np.random.default_rng(seed)
    rows = count * each
    facts = [
        {
            **BASE,
            "format": str(rng.choice(["JPEG", "PNG", "WEBP"])),
            "quantisation": str(rng.integers(8)),
            "width": int(rng.integers(200, 1200)),
            "height": int(rng.integers(200, 1200)),
            "exif": bool(rng.integers(2)),
            "icc": bool(rng.integers(2)),
        }
        for _ in range(rows)
    ]
    found = audit_files(facts, rng.permutation(rows) % count, list(map(str, range(rows))), seed)
    assert found.worst.low <= LIMIT


def test_images_of_few_groups_allow_for_more_chance_than_as_many_of_their_own():
    """Twenty photographs of one class each, of which some have no profile, say less than 800 images do."""
    groups = np.arange(800) // 40
    labels, icc = groups % 2, (groups < 6) | (groups % 2 == 1)
    facts = facts_with("icc", icc.tolist())
    named = (list(map(str, of)) for of in (groups, range(800)))
    few, many = (audit_files(facts, labels, of, 1).by_fact["icc"] for of in named)
    assert few.value == many.value > LIMIT
    assert few.value - few.low > 3 * (many.value - many.low)


def test_facts_that_tell_only_together_are_found():
    """Width and height each say nothing; their agreement is the label."""
    rng = np.random.default_rng(1)
    labels = np.arange(400) % 2
    widths = rng.integers(0, 2, 400)
    facts = [
        {**BASE, "width": 64 + int(width), "height": 64 + int(width ^ label)}
        for width, label in zip(widths, labels, strict=True)
    ]
    found = audit_files(facts, labels, [str(number) for number in range(400)], seed=1)
    assert set(found.by_label) == {"0"}
    assert together(found) > 0.95
    assert max(telling.value for telling in found.by_fact.values()) < 0.65


def test_a_fact_of_the_group_is_no_shortcut():
    """Each photograph has its own size; grouped folds do not let the tree learn it by heart."""
    labels = np.array([number // 30 % 2 for number in range(600)])
    groups = [f"g{number // 30}" for number in range(600)]
    facts = facts_with("width", np.random.default_rng(2).permutation(20).repeat(30).tolist())
    assert audit_files(facts, labels, groups, seed=1).worst.low < LIMIT


def test_file_size_is_measured_apart():
    found = audit_files(facts_with("content_size", (1000 + 500 * LABELS).tolist()), LABELS, GROUPS, seed=1)
    assert found.content_size.value > 0.95
    assert together(found) == CHANCE
    assert "content_size" not in found.by_fact


@pytest.mark.parametrize("groups", [["one"] * 12, ["a", "b"] * 6, [str(n) for n in range(12)]])
def test_few_images_and_groups(groups):
    found = audit_files(facts_with("format", ["JPEG", "PNG"] * 6), [0, 1] * 6, groups, seed=1)
    assert found.worst.low <= together(found) <= 1


def test_a_shortcut_among_few_groups_is_measured_whole(tmp_path):
    """Six generators of which four write PNG: few groups make little sure, and the value says all."""
    groups = [f"generator-{n % 6}" for n in range(600)] + [f"photograph-{n}" for n in range(600)]
    formats = ["PNG" if n % 6 < 4 else "JPEG" for n in range(600)] + ["JPEG"] * 600
    labels = ["fake"] * 600 + ["real"] * 600
    found = audit_files(facts_with("format", formats), labels, groups, seed=1)
    assert found.worst.low < 0.6
    assert not shortcut_check(found, WORDS, 0.6).passed
    assert shortcut_check(found, WORDS, 0.9).passed
