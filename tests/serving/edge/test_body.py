import pytest

from bonafide.serving.edge.body import Budget
from bonafide.serving.errors import Overloaded


def test_all_callers_together_hold_no_more_than_there_is():
    budget = Budget(100)
    with budget.share("anna") as anna, budget.share("bert") as bert:
        anna(60)
        with pytest.raises(Overloaded, match="too many requests; try again"):
            bert(41)
        bert(40)
    with budget.share() as take:
        take(100)


def test_one_caller_leaves_room_for_the_others():
    budget = Budget(100, each=50)
    with budget.share("anna") as one, budget.share("anna") as two, budget.share("bert") as bert:
        one(30)
        with pytest.raises(Overloaded, match="too many requests of yours"):
            two(21)
        two(20)
        bert(50)
    with budget.share("anna") as take:
        take(50)
    assert not budget._held
