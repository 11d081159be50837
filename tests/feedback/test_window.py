import math

from bonafide.feedback.window import STATISTICS, window
from tests.feedback.conftest import prediction


def test_a_table_s_columns_are_statistics():
    found = window([prediction(1, statistics={"petal_width": 0.2}), prediction(2, statistics={})])
    assert [*found.statistics] == [*STATISTICS, "petal_width"]
    assert found.statistics["petal_width"][0] == 0.2
    assert math.isnan(found.statistics["petal_width"][1])
