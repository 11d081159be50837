import numpy as np
import pytest

from benchmarks.power import CHANGES, FINDINGS, MARGINS, simulate, table


def test_a_better_challenger_and_a_wider_margin_are_promoted_more_often():
    found = simulate(30, 100, 60, np.random.default_rng(0))
    worse, same, better = (found[change, MARGINS[0]] for change in CHANGES)
    assert worse < 0.1 < same < better
    for change in CHANGES:
        assert found[change, MARGINS[0]] <= found[change, MARGINS[1]]


@pytest.mark.parametrize("size", [(12, 75), (100, 100)])
def test_every_finding_stands_in_the_table(size):
    found = {size: {each: i / 100 for i, each in enumerate(FINDINGS)}}
    rows = table(found).splitlines()[2:]
    for margin, row in zip(MARGINS, rows, strict=True):
        numbers = [f"{FINDINGS.index((change, margin))} %" for change in CHANGES]
        assert row == f"| {size[0]} | {size[0] * size[1]:,} | {margin:g} | {' | '.join(numbers)} |"
