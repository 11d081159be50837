from dataclasses import replace

import numpy as np
import pytest

from benchmarks import power, rare
from benchmarks.intervals import FINDINGS, TRUTHS, Setting, _cell, page, simulate

UNEQUAL = Setting(groups=12, sizes="unequal", correlation=0.1, truth=0.8)


def test_intervals_over_groups_cover_where_those_over_images_do_not():
    found = simulate(UNEQUAL, 100, np.random.default_rng(0))
    assert set(found) == set(FINDINGS)
    assert min(found[name] for name in ("accuracy", "macro F1", "AUROC", "difference")) >= 0.88
    assert found["images"] < 0.75


@pytest.mark.parametrize("sizes", ["equal", "unequal"])
def test_sizes_have_the_mean_that_the_page_tells(sizes):
    for groups in (5, 12, 100):
        images = replace(UNEQUAL, groups=groups, sizes=sizes).images
        assert len(images) == groups
        assert images.mean() == pytest.approx(20, abs=0.5)
        assert (images.std() == 0) == (sizes == "equal")


def test_every_finding_stands_on_the_page():
    from benchmarks.intervals import CORRELATIONS, GROUPS, SIZES

    numbers = iter(range(10_000))
    settings = [
        Setting(groups, sizes, correlation, truth)
        for groups in GROUPS
        for sizes in SIZES
        for correlation in CORRELATIONS
        for truth in TRUTHS
    ]
    found = {setting: {name: next(numbers) / 100 for name in FINDINGS} for setting in settings}
    seldom = {groups: {name: next(numbers) / 100 for name in rare.FINDINGS} for groups in rare.GROUPS}
    promoted = {size: {each: next(numbers) / 100 for each in power.FINDINGS} for size in power.SETS}
    text = page(found, seldom, promoted)
    assert rare.table(seldom) in text
    assert power.table(promoted) in text
    lowest = min(each[name] for each in seldom.values() for name in ("accuracy", "macro F1"))
    assert f"shares are covered in\n{100 * lowest:.0f} % of test sets at worst" in text
    for findings in found.values():
        for name, value in findings.items():
            told = f"{value:.2f}" if name == "width" else f"{100 * value:.0f} %"
            assert f"| {told} |" in text


def test_where_there_is_no_interval_stands_a_dash():
    found = simulate(replace(UNEQUAL, groups=8), 2, np.random.default_rng(0))
    assert np.isnan(found["accuracy"])
    assert np.isnan(found["difference"])
    assert _cell("width", found["width"]) == _cell("accuracy", found["accuracy"]) == "–"
