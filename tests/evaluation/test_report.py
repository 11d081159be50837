import re
from html.parser import HTMLParser

import numpy as np
import pytest

from bonafide.evaluation.gallery import Tile
from bonafide.evaluation.gate import Check, Verdict
from bonafide.evaluation.measure import measure
from bonafide.evaluation.report import evaluation_html, gate_html
from bonafide.evaluation.robustness import Degraded

VOID = {"meta", "img", "br", "link", "input"}
HOSTILE = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Reads a page, refuses unbalanced tags, collects text and images."""

    def __init__(self, html):
        super().__init__()
        self.open, self.images, self.tags, self.text = [], [], set(), ""
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag == "img":
            self.images.append(dict(attributes))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data if self.open[-1:] != ["style"] else ""


@pytest.fixture(scope="module")
def page(measured):
    pixels = np.zeros((8, 8, 3), np.uint8)
    heat = np.ones((2, 2), np.float32)
    tiles = [
        Tile(pixels, heat, "real", "deepfake", 0.97, HOSTILE),
        Tile(pixels, heat, "real", "real", 0.9, "a photograph"),
    ]
    html = evaluation_html(
        "Authenticity",
        measured,
        robustness=[Degraded(name="blur", level=2, accuracy=0.5, n=240)],
        history=[{"epoch": 1, "train_loss": 1.0}, {"epoch": 2, "train_loss": 0.5}],
        tiles=tiles,
        unseen=["unseen"],
        facts={"data digest": "abc"},
        groups_are="A group is one photograph.",
    )
    return html, Page(html)


def test_the_headline_is_the_measured_accuracy(page, measured):
    assert f"Right on {100 * measured.accuracy.value:.1f} % of 240 held-out images" in page[1].text


def test_every_part_is_there(page):
    for heading in (
        "What is taken for what",
        "By generator",
        "Is its confidence honest?",
        "After recompressing, blurring and resizing",
        "How it was trained",
        "Known failures",
        "The most confident wrong answers",
        "Typical right answers",
        "What these figures do not say",
        "resampling the 40 groups of the 240 test images",
        "A group is one photograph.",
        "Where this is from",
    ):
        assert heading in page[1].text


def test_images_have_text_and_nothing_is_fetched(page):
    html, parsed = page
    charts, legends, tiles = 6, 2, 2
    assert len(parsed.images) == charts + legends + 2 * tiles
    assert all(image["alt"] and image["src"].startswith("data:image/") for image in parsed.images)
    assert not re.search(r"https?://|url\(|@import|<link|<script", html)


def test_an_image_stands_beside_its_evidence_and_both_are_named(page):
    labels = "".join(page[1].text.split())
    assert "imageevidencefordeepfakeanswer✗deepfakewith97.0%truthreal" in labels
    assert "imageevidenceforrealanswer✓realwith90.0%truthreal" in labels


def test_hostile_text_stays_text(page):
    assert HOSTILE in page[1].text
    assert "script" not in page[1].tags


def test_parts_without_facts_are_left_out_and_undefined_measures_are_dashes():
    probabilities = np.tile(np.array([0.9, 0.1], np.float32), (3, 1))
    metrics = measure(np.zeros(3, np.int64), probabilities, ("real", "fake"), np.arange(3), 100, 0)
    text = Page(evaluation_html("T", metrics)).text
    assert "Nothing went wrong on these 3 images." in text
    assert "– (too few groups)" in text
    assert "nan" not in text
    for heading in ("By ", "recompressing", "How it was trained", "Where this is from"):
        assert heading not in text


def verdict(*passed, champion="7"):
    checks = tuple(
        Check(
            name=f"check {i}",
            measured=0.5,
            interval=(0.4, 0.6),
            required="at least 0.4",
            passed=each,
            why=f"Because {i}.",
        )
        for i, each in enumerate(passed)
    )
    digests = {"model_digest": "m", "data_digest": "d"}
    return Verdict(promote=all(passed), champion=champion, checks=checks, **digests)


def test_a_promotion_says_so():
    text = Page(gate_html(verdict(True, True), "Authenticity")).text
    assert "Promoted: all 2 checks passed" in text
    assert "failed" not in text


def test_a_refusal_names_what_failed_and_what_stays():
    text = Page(gate_html(verdict(True, False), HOSTILE)).text
    assert "Refused: 1 of 2 checks failed" in text
    assert "champion 7 stays in service" in text
    assert "Because 1." in text
    assert "0.400 – 0.600" in text
    assert HOSTILE in text
