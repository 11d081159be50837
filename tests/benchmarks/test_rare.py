import numpy as np

from benchmarks.rare import FINDINGS, simulate, table


def test_groups_that_fail_whole_are_covered_by_shares_where_errors_sit_in_few_groups():
    found = simulate(8, 100, np.random.default_rng(0))
    assert set(found) == set(FINDINGS)
    assert min(found["accuracy"], found["macro F1"]) >= 0.9
    assert found["difference"] < found["difference by groups"]
    assert found["promoted"] > found["promoted by groups"]


def test_every_finding_stands_in_the_table():
    found = {groups: {name: (i + groups) / 100 for i, name in enumerate(FINDINGS)} for groups in (8, 30)}
    cells = [f"{i + groups} %" for groups in (8, 30) for i in range(len(FINDINGS))]
    told = [cell.strip() for row in table(found).splitlines()[2:] for cell in row.split("|")[2:-1]]
    assert told == cells
