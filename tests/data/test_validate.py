import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from bonafide.data.build import RawImage, build_dataset
from bonafide.data.dataset import Quarantined
from bonafide.data.pictures import merge_groups
from bonafide.data.report import number
from bonafide.data.validate import validate
from bonafide.data.verdict import read_verdict, refuse_failed
from bonafide.errors import DataError
from bonafide.pages import render
from bonafide.task import Validation
from tests.data.pictures import LABELS, encode, picture, raw_images

LENIENT = Validation(minimum_per_label=5)


def test_a_sound_dataset_passes(make_dataset, tmp_path):
    folder, info = make_dataset(raw_images(90))
    verdict = validate(folder, tmp_path / "out", LENIENT, seed=1)
    assert verdict.passed
    assert verdict.dataset_digest == info.digest
    refuse_failed(verdict, tmp_path / "out")
    assert [check.name for check in verdict.checks] == ["minimum-per-label", "class-balance", "shortcuts"]
    assert verdict.excluded == ()
    assert verdict.merged_groups == {}
    assert read_verdict(tmp_path / "out") == verdict
    assert json.loads((tmp_path / "out" / "validation.json").read_text())["passed"] is True


def test_a_class_with_another_jpeg_quality_is_refused_and_the_fact_named(make_dataset, tmp_path):
    images = [
        replace(image, content=encode(picture(number), quality=90 if image.label_name == "real" else 75))
        for number, image in enumerate(raw_images(120))
    ]
    folder, _ = make_dataset(images)
    verdict = validate(folder, tmp_path / "out", LENIENT, seed=1)
    assert not verdict.passed
    assert verdict == read_verdict(tmp_path / "out")
    with pytest.raises(DataError, match=r"shortcuts.*'real' from the rest.*'quantisation'.*validation\.html"):
        refuse_failed(verdict, tmp_path / "out")
    assert verdict.shortcuts.worst_fact == "quantisation"
    assert verdict.shortcuts.by_fact["quantisation"].low > 0.6
    assert "quantisation" in (tmp_path / "out" / "validation.html").read_text()


def test_exact_duplicates_keep_the_first_and_conflicts_keep_none(make_dataset, tmp_path):
    images = raw_images(60)
    again = replace(images[0], path="real/again.jpg", group="elsewhere")
    conflict = replace(images[1], path="deepfake/same.jpg", label_name="deepfake")
    folder, _ = make_dataset([*images, again, conflict])
    verdict = validate(folder, tmp_path / "out", LENIENT, seed=1)
    found = {image.path: (image.row, image.reason, image.of) for image in verdict.excluded}
    assert found == {
        "real/again.jpg": (60, "duplicate", images[0].path),
        images[1].path: (1, "conflicting-labels", "deepfake/same.jpg"),
        "deepfake/same.jpg": (61, "conflicting-labels", images[1].path),
    }


def test_of_exact_duplicates_the_one_given_as_test_stays(make_dataset, tmp_path):
    images = raw_images(60)
    images[0] = replace(images[0], given="train")
    again = replace(images[0], path="real/again.jpg", given="test")
    folder, _ = make_dataset([*images, again])
    (left,) = validate(folder, tmp_path / "out", LENIENT, seed=1).excluded
    assert (left.row, left.reason, left.of) == (0, "duplicate", "real/again.jpg")


def test_near_duplicates_stay_and_their_groups_are_merged(make_dataset, tmp_path):
    images = raw_images(60)
    softer = replace(
        images[0], path="real/softer.jpg", content=encode(picture(0), quality=80), group="another"
    )
    folder, _ = make_dataset([*images, softer])
    verdict = validate(folder, tmp_path / "out", Validation(minimum_per_label=5, shortcut_limit=1), seed=1)
    assert verdict.excluded == ()
    assert verdict.merged_groups == {images[0].group: "another"}


def test_merging_is_transitive():
    hashes = [f"{value:016x}" for value in (0, 0b11, 0b1111, 2**60 - 1, 2**40 - 1)]
    merged = merge_groups(hashes, ["c", "b", "a", "d", "e"], distance=2)
    assert merged == {"b": "a", "c": "a"}
    assert merge_groups(hashes, ["c", "b", "a", "d", "e"], distance=1) == {}
    assert merge_groups([hashes[3]] * 3, ["x", "y", "x"], distance=0) == {"y": "x"}


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Validation(minimum_per_label=21), "minimum-per-label: 'ai-generated' has 20 usable images, 21"),
        (
            Validation(maximum_imbalance=1.4),
            "class-balance: the largest class has 30, the smallest .*20 images: 1.5 times",
        ),
    ],
)
def test_each_check_can_fail(make_dataset, tmp_path, limits, message):
    real = [replace(image, label_name="real", group=f"r{n}") for n, image in enumerate(raw_images(70)[60:])]
    folder, _ = make_dataset(raw_images(60) + real)
    verdict = validate(folder, tmp_path / "out", limits, seed=1)
    with pytest.raises(DataError, match=message):
        refuse_failed(verdict, tmp_path / "out")


def test_quarantined_files_are_in_the_report_and_the_share(make_dataset, tmp_path):
    torn = RawImage("real/<script>alert(1)</script>.jpg", b"no image", "real", "test")
    folder, info = make_dataset([*raw_images(99), torn])
    verdict = validate(folder, tmp_path / "out", LENIENT, seed=1)
    page = (tmp_path / "out" / "validation.html").read_text()
    assert verdict.quarantined_share == pytest.approx(0.01)
    assert info.quarantined[0] == Quarantined(
        path=torn.path, reason="not-an-image", message=info.quarantined[0].message
    )
    assert "&lt;script&gt;alert(1)&lt;/script&gt;.jpg" in page
    assert "<script" not in page


def test_skipped_files_are_in_the_report(tmp_path):
    build_dataset(raw_images(90), LABELS, tmp_path / "data", skipped=("real/<b>.psd",))
    validate(tmp_path / "data", tmp_path / "out", LENIENT, seed=1)
    page = (tmp_path / "out" / "validation.html").read_text()
    assert "1 file was passed over" in page
    assert "real/&lt;b&gt;.psd" in page


def test_the_report_is_one_accessible_file(make_dataset, tmp_path):
    folder, _ = make_dataset(raw_images(90))
    validate(folder, tmp_path / "out", LENIENT, seed=1)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "validation.html",
        "validation.json",
    ]
    seen = _Tags()
    seen.feed((tmp_path / "out" / "validation.html").read_text())
    images = [attributes for tag, attributes in seen.tags if tag == "img"]
    assert len(images) == 3 * 8
    assert all(image["src"].startswith("data:image/") and image["alt"] for image in images)
    assert all(svg["aria-label"] for tag, svg in seen.tags if tag == "svg")
    assert not {"script", "link", "iframe"} & {tag for tag, _ in seen.tags}
    for label in LABELS:
        assert label in seen.text


def test_the_report_says_things_plainly(make_dataset, tmp_path):
    folder, _ = make_dataset(raw_images(90))
    verdict = validate(folder, tmp_path / "out", LENIENT, seed=1)
    page = (tmp_path / "out" / "validation.html").read_text()
    for name in ("images of the rarest label", "balance of the labels", "shortcuts"):
        assert f'<th scope="row">{name}</th>' in page
    assert "minimum-per-label" not in page
    assert verdict.shortcuts.by_fact["format"].value == 0.5
    assert re.search(r'<th scope="row">format</th><td class="name">–</td>', page)
    assert re.search(r"<h3>Missing values</h3>\s*<p class=\"note\">none</p>", page)
    shares = re.findall(r'aria-label="[^"]+: \d+".*?class="fill" width="([\d.]+)"', page)
    assert shares == ["33.33"] * 3
    assert "surely" not in page


@pytest.mark.parametrize(
    ("value", "shown"), [(3600.0, "3,600"), (20, "20"), (1.03448, "1.034"), (0.6, "0.6"), (12345.6, "12,346")]
)
def test_numbers_have_separators_and_four_digits(value, shown):
    assert number(value) == shown


def test_the_report_has_the_style_of_every_report(make_dataset, tmp_path):
    folder, _ = make_dataset(raw_images(90))
    validate(folder, tmp_path / "out", LENIENT, seed=1)
    page = (tmp_path / "out" / "validation.html").read_text()
    style = re.compile("<style>.*?</style>", re.DOTALL)
    other = render("base.html", title="Title", headline="Headline", facts={})
    assert style.search(page)[0] == style.search(other)[0]
    assert "Passed: 90 images, all 3 checks" in page


def test_the_report_is_the_same_for_the_same_seed(make_dataset, tmp_path):
    folder, _ = make_dataset(raw_images(60))
    pages = []
    for name in ("first", "second"):
        validate(folder, tmp_path / name, LENIENT, seed=3)
        pages.append((tmp_path / name / "validation.html").read_bytes())
    assert pages[0] == pages[1]


def test_a_missing_or_foreign_verdict_is_refused(tmp_path):
    with pytest.raises(DataError, match="run the validate step first"):
        read_verdict(tmp_path)
    (tmp_path / "validation.json").write_text("{}")
    with pytest.raises(DataError, match="not written by Bonafide"):
        read_verdict(tmp_path)


class _Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []
        self.text = ""

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data
