"""Accuracy by confirmed labels."""

import pytest

from bonafide.errors import DataError
from bonafide.feedback.opinion import Reviewed
from bonafide.monitoring.quality import Quality, measured, read_quality


def reviewed(right: int, wrong: int) -> list[Reviewed]:
    return [
        Reviewed(f"i-{number}", "real", "real" if number < right else "fake")
        for number in range(right + wrong)
    ]


def test_it_is_the_share_of_images_that_were_right():
    found = measured(reviewed(80, 20))
    assert found.reviewed == 100
    assert found.accuracy.value == pytest.approx(0.8)
    # Clopper and Pearson's interval of 80 in 100.
    assert found.accuracy.ends == pytest.approx((0.7082, 0.8733), abs=1e-4)
    assert found.figures() == pytest.approx(
        {"reviewed": 100, "accuracy": 0.8, "accuracy_low": 0.7082, "accuracy_high": 0.8733}, abs=1e-4
    )


def test_an_image_counts_once_by_the_last_answer():
    again = [Reviewed("i-0", "fake", "fake"), *reviewed(9, 1), Reviewed("i-9", "fake", "fake")]
    assert measured(again).reviewed == 10
    assert measured(again).accuracy.value == 1


def test_without_reviews_nothing_is_known():
    found = measured([])
    assert found == Quality(reviewed=0, accuracy=None)
    assert found.figures() == {"reviewed": 0}
    assert not found.is_below(1.0, 5)


def test_few_images_have_no_interval():
    found = measured(reviewed(1, 2))
    assert found.figures() == pytest.approx({"reviewed": 3, "accuracy": 1 / 3})
    assert not found.is_below(1.0, 1)


@pytest.mark.parametrize(
    ("right", "wrong", "fewest", "below"),
    [(80, 20, 50, False), (70, 30, 50, True), (70, 30, 101, False), (0, 60, 50, True), (60, 0, 50, False)],
)
def test_it_is_below_a_floor_with_its_interval(right, wrong, fewest, below):
    assert measured(reviewed(right, wrong)).is_below(0.85, fewest) is below


def test_it_survives_being_written(tmp_path):
    found = measured(reviewed(3, 4))
    (tmp_path / "quality.json").write_text(found.model_dump_json())
    assert read_quality(tmp_path / "quality.json") == found
    unknown = measured(reviewed(1, 1))
    (tmp_path / "quality.json").write_text(unknown.model_dump_json())
    assert read_quality(tmp_path / "quality.json").figures() == unknown.figures()
    (tmp_path / "quality.json").write_text("{}")
    with pytest.raises(DataError, match="was not written by Bonafide"):
        read_quality(tmp_path / "quality.json")
