from dataclasses import replace

import numpy as np
import pytest

from bonafide.drift.environment import Answer, detect
from bonafide.drift.judge import FEWEST_GROUPS, Detector, Judgement, checks, holm, judge, sides
from bonafide.drift.reference import read_reference
from bonafide.task import Drift
from tests.drift import world
from tests.drift.world import SKEWED, window

SETTINGS = Drift()
SAME = Answer([0.7], [0.1])
SURE = Answer([1e-9], [0.9])


@pytest.fixture
def known(packaged, trusted):
    return read_reference(packaged, trusted)


def judged(known, seen, settings=SETTINGS, **answers):
    given = {"mmd": SAME, "ks": SAME, "uncertainty": SAME, "labels": SAME} | answers
    return judge(sides(known, seen, settings), given, settings)


def test_holm_by_hand():
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.9})
    assert found == pytest.approx({"a": 0.04, "c": 0.09, "b": 0.09, "d": 0.9})


def test_looks_count_only_if_the_mix_does_not_explain_them(known, random):
    """The detectors are equally sure, but one window differs by its mix alone."""
    answers = {"mmd": SURE, "ks": SURE, "labels": SURE}
    assert judged(known, window(random, 400, mix=SKEWED), **answers).kind == "mix"
    assert judged(known, window(random, 400, mix=SKEWED, moved=0.7), **answers).kind == "looks"


@pytest.mark.parametrize("images", [1, 4])
def test_few_groups_of_a_label_are_no_ground_for_looks(known, random, images):
    """Whatever moved; and the note names the label. One group more, and looks are judged."""
    seen, answers = window(random, 400, moved=0.7), {"mmd": SURE, "ks": SURE, "labels": SURE}

    def scarce(groups: int):
        rows = np.concatenate(
            [np.flatnonzero(known.label < 2), np.flatnonzero(known.label == 2)[: groups * images]]
        )
        kept = {name: getattr(known, name)[rows] for name in ("probabilities", "label", "embedding")}
        shared = np.where(kept["label"] == 2, -1 - np.arange(len(rows)) % groups, known.group[rows])
        return replace(known, **kept, group=shared, statistics={})

    found = judged(scarce(FEWEST_GROUPS - 1), seen, **answers)
    assert found.kind == "mix"
    assert found.notes[0].startswith("Looks were not judged: of blue the reference has fewer than")
    assert {each.name for each in found.detectors if each.adjusted is not None} == {"labels"}
    assert judged(scarce(FEWEST_GROUPS), seen, **answers).kind == "looks"


def test_what_no_detector_sees_is_no_drift(known, random):
    assert judged(known, window(random, 400, moved=0.7)).kind == "none"


def test_the_detectors_share_one_level(known, random):
    """0.02 alone would be below it."""
    assert judged(known, window(random, 400), labels=Answer([0.02], [0.1])).kind == "none"
    assert judged(known, window(random, 400), labels=Answer([0.012], [0.1])).kind == "mix"


def test_at_the_least_level_looks_can_still_be_found(known, random):
    """Where all else is as before, so that the smallest p-value counts four times."""
    found = judged(known, window(random, 400, moved=2.0), Drift(alpha=0.008), ks=SURE)
    assert found.kind == "looks"
    with pytest.raises(ValueError, match=r"greater than or equal to 0\.008"):
        Drift(alpha=0.0079)


def test_columns_share_a_detectors_p_value(known, random):
    columns = Answer([0.02, 0.5, 0.9], [0.3, 0.1, 0.1])
    found = {each.name: each for each in judged(known, window(random, 400), ks=columns).detectors}
    assert found["ks"].p == pytest.approx(0.06)
    assert found["ks"].columns == (0.02, 0.5, 0.9)
    assert found["ks"].distance == 0.3


def test_statistics_only_explain(known, random):
    found = judged(known, window(random, 400), brightness=SURE)
    assert found.kind == "none"
    [brightness] = [each for each in found.detectors if each.name == "brightness"]
    assert (brightness.adjusted, brightness.found) == (None, False)


def test_constant_columns_and_unknown_statistics_are_left_out_and_told(known, random):
    seen = window(random, 400)
    constant = seen.embeddings.copy()
    constant[:, 2] = 1.5
    also = replace(known, embedding=np.where(np.arange(6) == 2, 1.5, known.embedding).astype(np.float32))
    both = sides(also, replace(seen, embeddings=constant), SETTINGS)
    assert both.reference["embedding"].shape[1] == both.window["embedding"].shape[1] == 5
    assert "brightness" in both.reference
    assert "jpeg_quality" not in both.reference
    assert both.notes == (
        "1 columns of the embedding are constant and were left out.",
        "jpeg_quality is known of too few inputs to be compared.",
    )


def test_without_embeddings_looks_are_judged_by_probabilities(known, random):
    seen = window(random, 400)
    none = replace(seen, embeddings=seen.embeddings[:0], embedded=np.zeros(400, bool))
    arrays, asked = checks(sides(known, none, SETTINGS), SETTINGS)
    assert arrays[asked["ks"].window].shape == (400, 3)


def test_the_discrepancy_takes_no_more_rows_than_it_may(known, random):
    few = Drift(rows=100)
    arrays, asked = checks(sides(known, window(random, 400), few), few, prefix="w1.")
    assert len(arrays[asked["w1.mmd"].reference]) == len(arrays[asked["w1.mmd"].window]) == 100
    assert len(arrays[asked["w1.ks"].window]) == 400


HOW = {
    "same": ({}, "none"),
    "mix": ({"mix": SKEWED}, "mix"),
    "looks": ({"moved": 0.8}, "looks"),
    "both": ({"mix": SKEWED, "moved": 0.8}, "looks"),
    "old": ({"moved": 0.8}, "looks"),
}


def test_the_real_detectors_tell_windows_apart(known, random, tmp_path, trusted, detectors):
    """All in one process of their environment; the last by a package from before groups and statistics."""
    arrays = {name: values for name, values in world.reference(random).items() if name in OLD}
    old = read_reference(world.make(tmp_path, arrays), tmp_path / "keys")
    pairs = {
        name: sides(old if name == "old" else known, window(random, 400, **how), SETTINGS)
        for name, (how, _) in HOW.items()
    }
    arrays, asked = {}, {}
    for name, both in pairs.items():
        more = checks(both, SETTINGS, f"{name}.")
        arrays |= more[0]
        asked |= more[1]
    answers = detect(arrays, asked, 300)
    for name, (_, kind) in HOW.items():
        own = {
            key.removeprefix(f"{name}."): each for key, each in answers.items() if key.startswith(f"{name}.")
        }
        found = judge(pairs[name], own, SETTINGS)
        assert found.kind == kind, name
        if kind == "mix":
            truth = dict(zip(world.LABELS, SKEWED, strict=True))
            assert all(share.low <= truth[share.label] <= share.high for share in found.mix)
    assert list(own) == ["mmd", "ks", "uncertainty", "labels"]
    assert "no statistics" in found.notes[0]
    assert "does not tell its groups" in found.notes[1]


OLD = ("embedding", "probabilities", "label")


def test_a_p_value_that_became_0_can_be_told(known, random):
    gone = judged(known, window(random, 400), labels=Answer([0.0], [900.0]))
    [labels] = [each for each in gone.detectors if each.name == "labels"]
    assert 0 < labels.adjusted < 1e-20


def test_what_moved_is_told_for_all_that_explain_together():
    each = [Detector(name=name, of=name, distance=0, p=p) for name, p in (("a", 0.02), ("b", 0.03))]
    decides = Detector(name="mmd", of="x", distance=0, p=0, adjusted=0.001, found=True)
    told = Judgement(kind="looks", detectors=(decides, *each))
    assert [one.name for one in told.moved(0.05)] == ["a"]
