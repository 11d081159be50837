import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonafide.errors import DataError
from bonafide.sources.photographs import GAP, PHOTOGRAPHS, REGION, Photograph, _intervals


@pytest.mark.parametrize("photograph", PHOTOGRAPHS, ids=lambda photograph: photograph.name)
def test_each_is_there_with_its_terms(photograph):
    assert photograph.licence
    assert photograph.credit
    scene = photograph.open()
    assert scene.mode == "RGB"
    assert min(scene.size) >= 200
    assert np.asarray(scene).std() > 5


def test_names_are_unique_and_there_are_enough_for_the_splits():
    names = [photograph.name for photograph in PHOTOGRAPHS]
    assert len(set(names)) == len(names) >= 10


@given(st.integers(30, 3000))
def test_parts_of_a_side_are_large_and_far_apart(extent):
    parts = _intervals(extent)
    assert parts[0][0] == 0
    assert parts[-1][1] <= extent
    assert {end - start for start, end in parts} == {parts[0][1]}
    assert all(later[0] - earlier[1] == GAP for earlier, later in itertools.pairwise(parts))
    assert len(parts) == 1 or parts[0][1] >= REGION
    assert len(parts) + 1 > (extent + GAP) / (REGION + GAP), "no more of them would fit"


def test_regions_are_cut_from_their_photograph():
    (astronaut,) = (photograph for photograph in PHOTOGRAPHS if photograph.name == "astronaut")
    regions = astronaut.regions()
    assert list(regions) == ["astronaut-1", "astronaut-2", "astronaut-3", "astronaut-4"]
    scene, third = np.asarray(astronaut.open()), np.asarray(regions["astronaut-3"])
    assert np.array_equal(third, scene[288:512, :224])


def test_one_file_shows_one_scene():
    """Of the stereo pair one view only: the other shows the same scene, shifted."""
    assert [photograph.file for photograph in PHOTOGRAPHS if photograph.name == "motorcycle"] == [
        "data/motorcycle_left.png"
    ]


@pytest.mark.parametrize(("package", "file"), [("skimage", "data/nothing.png"), ("no_such_package", "x.png")])
def test_a_missing_one_is_a_readable_error(package, file):
    missing = Photograph("moon", package, file, "CC0", "nobody")
    with pytest.raises(DataError, match=f"'moon' .* missing from {package}: install"):
        missing.open()
