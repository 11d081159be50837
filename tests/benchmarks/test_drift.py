"""The windows of the drift benchmark are what their rows say, and the page tells what was counted."""

import numpy as np
import pytest

from benchmarks.drift import page
from benchmarks.drift.material import EVEN, SKEWED, Answers, Kind, Material, brighter, compressed
from benchmarks.drift.rows import EXPECTED, KINDS, ROWS, STRENGTHS
from bonafide.data.looks import looks
from bonafide.drift.judge import Detector, Judgement
from tests import packages
from tests.data.pictures import encode, picture

COUNT = 3000


@pytest.fixture(scope="module")
def material() -> Material:
    """Each image's embedding is its number, and its probabilities are sure of its label."""
    label = np.arange(COUNT) % 3
    shares, numbers = np.eye(3, dtype=np.float32)[label], np.arange(COUNT, dtype=np.float32)[:, None]
    answers = Answers(shares, numbers, {"width": numbers[:, 0].astype(np.float64)})
    new = (np.arange(COUNT) % 4 == 0) & (label > 0)
    return Material(packages.info(), label, new, np.arange(COUNT) // 100, {"as is": answers})


def drawn(material, kind, count=400):
    known, seen = material.pair(kind, 300, count, np.random.default_rng(1))
    rows = seen.embeddings[:, 0].astype(int)
    assert len(known) == 300
    assert len(rows) == count
    assert not set(known.embedding[:, 0].astype(int)) & set(rows)
    return known, rows


@pytest.mark.parametrize("mix", [EVEN, SKEWED])
def test_a_window_has_the_mix_of_its_row(material, mix):
    known, rows = drawn(material, Kind(mix=mix))
    assert np.bincount(material.label[rows]) / len(rows) == pytest.approx(np.array(mix), abs=0.08)
    assert np.bincount(known.label) / len(known) == pytest.approx(np.array(EVEN), abs=0.08)
    assert not material.new[rows].any()


def test_all_fakes_are_new_where_the_row_says_so(material):
    known, rows = drawn(material, Kind(new=1.0))
    assert (material.new[rows] == (material.label[rows] > 0)).all()
    assert not material.new[known.embedding[:, 0].astype(int)].any()


def test_other_photographs_share_no_group(material):
    known, rows = drawn(material, Kind(apart=True))
    assert not set(known.group) & set(material.group[rows])


def test_changes_are_what_they_are_called():
    content = encode(picture(1, 40, 40), quality=95)
    before = looks(content)
    assert looks(brighter(content))["brightness"] > before["brightness"]
    assert looks(brighter(content))["jpeg_quality"] == 95
    assert looks(compressed(content))["jpeg_quality"] == 85


def test_the_page_tells_what_was_counted():
    def judgement(kind, p):
        detectors = [
            Detector(name=name, of="", distance=0, p=p, adjusted=p, found=p < 0.05) for name in page.DETECTORS
        ]
        return Judgement(kind=kind, detectors=tuple(detectors))

    counts = page.counted([judgement("looks", 0.001)] * 19 + [judgement("none", 0.9)])
    assert counts == {
        "kinds": {"looks": 19, "none": 1},
        "detectors": dict.fromkeys(page.DETECTORS, 19),
        "unaided": 19,
    }
    results = {
        "runs": 20,
        "images": 10,
        "accuracy": 0.9,
        "judged": {f"{name}, {size}": counts for name, size in ROWS},
        "speed": {"seconds": 12.5, "cpu": 20.0, "cores": 2},
    }
    text = page.page(results)
    assert "| brightness | 200 | 5 % | 0 % | 95 % | looks: 95.0 % (75.1 to 99.9) | 95 % |" in text
    assert (
        "| no drift | 200 | 5 % | 0 % | 95 % | none: 5.0 % (0.1 to 24.9), **fewer than 95 %** | 95 % |"
        in text
    )
    assert set(STRENGTHS) == set(KINDS) >= set(EXPECTED)
