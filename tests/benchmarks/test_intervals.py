from dataclasses import replace

import numpy as np
import pytest

from benchmarks.intervals import FINDINGS, TRUTHS, Setting, page, simulate

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
    text = page(found)
    for findings in found.values():
        for name, value in findings.items():
            told = f"{value:.2f}" if name == "width" else f"{100 * value:.0f} %"
            assert f"| {told} |" in text
