import numpy as np
import pytest

from bonafide.serving.overlay import GAP, SIDE, beside, sheet

GREY = np.full((40, 60, 3), 120, np.uint8)


def hot(row, column):
    heat = np.zeros((4, 4), np.float32)
    heat[row, column] = 3.5
    return heat


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 3), (3, 0), (2, 1)])
def test_the_hot_cell_is_where_the_overlay_changes_most(row, column):
    picture = beside(GREY, hot(row, column)).astype(int)
    assert picture.shape == (SIDE, 2 * SIDE + GAP, 3)
    left, right = picture[:, :SIDE], picture[:, SIDE + GAP :]
    assert (left == 120).all()
    change = np.abs(right - left).sum(axis=2).reshape(4, SIDE // 4, 4, SIDE // 4).mean(axis=(1, 3))
    assert np.unravel_index(change.argmax(), change.shape) == (row, column)


def test_no_heat_leaves_the_picture():
    picture = beside(GREY, np.zeros((4, 4), np.float32))
    assert (picture[:, SIDE + GAP :] == 120).all()


def test_scale_of_the_heat_does_not_matter():
    np.testing.assert_array_equal(beside(GREY, hot(1, 1)), beside(GREY, hot(1, 1) * 1000))


def test_a_sheet_stacks_rows():
    rows = [beside(GREY, hot(0, 0)), beside(GREY, hot(3, 3))]
    whole = sheet(rows)
    assert whole.shape == (2 * SIDE + GAP, 2 * SIDE + GAP, 3)
    np.testing.assert_array_equal(whole[:SIDE], rows[0])
    np.testing.assert_array_equal(whole[-SIDE:], rows[1])


def test_many_pictures_make_a_grid_that_is_about_square():
    pictures = [np.full((SIDE, 2 * SIDE + GAP, 3), number, np.uint8) for number in range(7)]
    whole = sheet(pictures)
    assert whole.shape[:2] == (4 * SIDE + 3 * GAP, 2 * (2 * SIDE + GAP) + 3 * GAP)
    assert [whole[SIDE // 2 + row * (SIDE + GAP), 0, 0] for row in range(4)] == [0, 2, 4, 6]
    assert (whole[-1, -1] == 255).all()
