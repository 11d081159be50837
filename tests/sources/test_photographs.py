import numpy as np
import pytest

from bonafide.errors import DataError
from bonafide.sources.photographs import PHOTOGRAPHS, Photograph


@pytest.mark.parametrize("photograph", PHOTOGRAPHS, ids=lambda photograph: photograph.name)
def test_each_is_there_with_its_terms(photograph):
    assert photograph.licence
    assert photograph.credit
    for view in photograph.open():
        assert view.mode == "RGB"
        assert min(view.size) >= 200
        assert np.asarray(view).std() > 5


def test_names_are_unique_and_there_are_enough_for_the_splits():
    names = [photograph.name for photograph in PHOTOGRAPHS]
    assert len(set(names)) == len(names) >= 10


def test_a_stereo_pair_is_one_scene():
    (motorcycle,) = (photograph for photograph in PHOTOGRAPHS if photograph.name == "motorcycle")
    assert len(motorcycle.open()) == 2


@pytest.mark.parametrize(("package", "file"), [("skimage", "data/nothing.png"), ("no_such_package", "x.png")])
def test_a_missing_one_is_a_readable_error(package, file):
    missing = Photograph("moon", package, (file,), "CC0", "nobody")
    with pytest.raises(DataError, match=f"'moon' .* missing from {package}: install"):
        missing.open()
