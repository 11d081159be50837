import numpy as np
import pytest

from bonafide.data import dataset as datasets
from bonafide.errors import DataError, PackageError
from bonafide.features import Feature
from bonafide.model.checkpoint import read_info
from bonafide.model.runtime import OnnxModel
from bonafide.model.table import answer, columns
from tests import flowers as iris
from tests import packages


@pytest.fixture
def model(flowers):
    return OnnxModel(flowers.checkpoint, read_info(flowers.checkpoint), threads=1)


def test_answers_are_those_for_the_rows(model, flowers):
    outputs = ("probabilities", "embedding")
    expected = model.run(datasets.rows(flowers.dataset, "test"), outputs)
    found = answer(model, flowers.dataset, "test", outputs)
    assert set(found) == set(outputs)
    assert all(np.array_equal(found[name], expected[name]) for name in outputs)


def test_columns_come_in_the_model_s_order(model, tmp_path):
    more = (Feature(name="weight"), *reversed(iris.FEATURES))
    other = iris.dataset(tmp_path / "dataset", features=more)
    rows = datasets.rows(other, "val")
    assert np.array_equal(columns(model.info, other, "val"), rows[:, [4, 3, 2, 1]])


def test_a_column_that_the_model_takes_must_be_there(model, tmp_path):
    fewer = iris.dataset(tmp_path / "dataset", features=iris.FEATURES[:2])
    with pytest.raises(DataError, match="no column petal_length, which the model takes"):
        answer(model, fewer, "val", ("probabilities",))


def test_images_are_no_columns(model):
    with pytest.raises(PackageError, match="takes an image"):
        _ = packages.info().table
    assert packages.info().columns == ()
    assert model.info.table.features == iris.FEATURES
