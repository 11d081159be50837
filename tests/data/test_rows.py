import re

import numpy as np
import pytest

from bonafide.data import dataset
from bonafide.data.dataset import ALL
from bonafide.data.split import split
from bonafide.data.table import build_table
from bonafide.data.validate import validate
from bonafide.data.verdict import read_verdict, refuse_failed
from bonafide.errors import DataError
from bonafide.task import Split, Validation
from tests.data.flowers import FEATURES, LABELS, raw_rows

LENIENT = Validation(minimum_per_label=5, shortcut_limit=1)


def told_by_height(rows):
    """The same rows with a column that alone tells the label."""
    rows.columns["height"] = [
        30 + 50 * (label == "tulip") + number / 1000 for number, label in enumerate(rows.about["label_name"])
    ]
    return rows


def test_a_sound_table_passes(tmp_path):
    info = build_table([raw_rows(200)], LABELS, FEATURES, tmp_path / "data")
    verdict = validate(tmp_path / "data", tmp_path / "out", LENIENT, seed=1)
    assert verdict.passed
    assert verdict == read_verdict(tmp_path / "out")
    assert verdict.dataset_digest == info.digest
    assert [check.name for check in verdict.checks] == ["minimum-per-label", "class-balance", "shortcuts"]
    assert set(verdict.shortcuts.by_fact) == {"height", "petals"}
    assert verdict.shortcuts.worst_fact == "height"
    assert verdict.shortcuts.by_fact["height"].value > 0.6 > verdict.shortcuts.by_fact["petals"].value
    assert verdict.merged_groups == {}


def test_a_column_that_alone_tells_the_label_is_named_and_allowed_by_configuration(tmp_path):
    build_table([told_by_height(raw_rows(200))], LABELS, FEATURES, tmp_path / "data")
    strict = validate(tmp_path / "data", tmp_path / "out", Validation(minimum_per_label=5), seed=1)
    with pytest.raises(
        DataError, match=r"column 'height' alone tells 'rose' .*higher validation.shortcut_limit"
    ):
        refuse_failed(strict, tmp_path / "out")
    allowed = validate(tmp_path / "data", tmp_path / "out", LENIENT, seed=1)
    assert allowed.passed
    assert "the column 'height' alone tells 'rose'" in allowed.checks[-1].why


def test_equal_rows_are_left_out_and_conflicting_ones_too(tmp_path):
    rows = raw_rows(60)
    for row, of in ((20, 4), (31, 8)):
        rows.columns.loc[row] = rows.columns.loc[of]
    build_table([rows], LABELS, FEATURES, tmp_path / "data")
    verdict = validate(tmp_path / "data", tmp_path / "out", LENIENT, seed=1)
    assert [(each.path, each.reason, each.of) for each in verdict.excluded] == [
        ("bed.csv#8", "conflicting-labels", "bed.csv#31"),
        ("bed.csv#20", "duplicate", "bed.csv#4"),
        ("bed.csv#31", "conflicting-labels", "bed.csv#8"),
    ]


def test_no_row_is_in_two_splits_even_if_the_source_put_it_there(tmp_path):
    rows = raw_rows(120, given=["test" if number % 4 < 2 else "train" for number in range(120)])
    rows.columns.loc[2] = rows.columns.loc[0]
    build_table([rows], LABELS, FEATURES, tmp_path / "data")
    validate(tmp_path / "data", tmp_path / "audit", LENIENT, seed=1)
    info = split(tmp_path / "data", tmp_path / "audit", tmp_path / "out", Split(given=True), seed=1)
    assert info.excluded == {"duplicate": 1}
    assert (info.modality, info.features) == ("table", FEATURES)
    found = {name: dataset.read(tmp_path / "out", name)["sha256"].to_pylist() for name in info.counts}
    assert len({sha for shas in found.values() for sha in shas}) == sum(map(len, found.values())) == 119
    assert "bed.csv#0" in dataset.paths(tmp_path / "out", "test")
    parts = [dataset.rows(tmp_path / "out", name) for name in info.counts]
    kept = np.delete(dataset.rows(tmp_path / "data", ALL), 2, axis=0)
    assert sorted(np.concatenate(parts).tolist()) == sorted(kept.tolist())


def test_rows_of_one_group_stay_together(tmp_path):
    rows = raw_rows(120, group=[f"bed-{number // 4}" for number in range(120)])
    build_table([rows], LABELS, FEATURES, tmp_path / "data")
    validate(tmp_path / "data", tmp_path / "audit", LENIENT, seed=1)
    info = split(tmp_path / "data", tmp_path / "audit", tmp_path / "out", Split(), seed=1)
    groups = [set(dataset.read(tmp_path / "out", name)["group"].to_pylist()) for name in info.counts]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 30


def test_too_few_rows_of_a_label_are_told_as_rows(tmp_path):
    build_table([raw_rows(8)], LABELS, FEATURES, tmp_path / "data")
    lenient = Validation(minimum_per_label=1, shortcut_limit=1)
    validate(tmp_path / "data", tmp_path / "audit", lenient, seed=1)
    with pytest.raises(DataError, match=r"would have no row of .*Add rows from more sources") as told:
        split(tmp_path / "data", tmp_path / "audit", tmp_path / "out", Split(val=0.01), seed=1)
    assert "near_duplicate" not in str(told.value)


def test_the_report_shows_each_column_and_speaks_of_rows(tmp_path):
    rows = raw_rows(90)
    rows.columns.at[7, "height"] = "<script>"
    build_table([rows], LABELS, FEATURES, tmp_path / "data")
    validate(tmp_path / "data", tmp_path / "out", LENIENT, seed=1)
    page = (tmp_path / "out" / "validation.html").read_text()
    assert "Passed: 89 rows, all 3 checks" in page
    assert "height in cm" in page
    assert page.count('class="a" viewBox="0 0 240') == 2
    assert "height must be a number, got &#39;&lt;script&gt;&#39;" in page
    text = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    found = re.findall(r"\b(images?|pictures?|files?|photo\w*|pixels?|generators?)\b", text, re.IGNORECASE)
    assert not found


def test_a_report_of_equal_rows_speaks_of_rows(tmp_path):
    rows = raw_rows(60)
    rows.columns.loc[20] = rows.columns.loc[4]
    build_table([rows], LABELS, FEATURES, tmp_path / "data")
    validate(tmp_path / "data", tmp_path / "out", LENIENT, seed=1)
    page = (tmp_path / "out" / "validation.html").read_text()
    assert "1 row repeats another number for number and is left out: 1 duplicate." in page
    assert "Every row has all its numbers" in page


def test_a_label_that_a_column_tells_well_but_rarely_is_seen(tmp_path):
    """Of three labels the rarest, whose value is high and not sure; another one is told surely, and less."""
    random = np.random.default_rng(5)
    rows = raw_rows(240)
    labels = np.array((["rose"] * 112 + ["tulip"] * 112 + ["daisy"] * 16), dtype=object)
    rows.about["label_name"] = labels
    rows.columns["petals"] = random.integers(3, 9, 240)
    rows.columns["height"] = np.where(
        labels == "daisy", random.uniform(2, 8, 240), random.uniform(6, 90, 240)
    )
    build_table([rows], (*LABELS, "daisy"), FEATURES, tmp_path / "data")
    found = validate(tmp_path / "data", tmp_path / "out", LENIENT, seed=1).shortcuts
    assert found.peaks["height"].label == "daisy"
    assert found.highest == found.peaks["height"]
    assert found.highest.value >= found.by_fact["height"].value
