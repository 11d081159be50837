import pytest

from bonafide.errors import PackageError
from bonafide.features import Feature
from bonafide.model.info import ImageInput, TableInput
from tests import packages


def test_the_modality_picks_the_input():
    image = packages.info()
    assert image.input == image.image == ImageInput(size=packages.SIZE)
    table = packages.info(input={"modality": "table", "features": [{"name": "petal_width", "unit": "cm"}]})
    assert table.input == TableInput(features=(Feature(name="petal_width", unit="cm"),))
    with pytest.raises(PackageError, match="takes a table"):
        table.image  # noqa: B018


def test_outputs_that_a_model_lacks_are_not_listed():
    assert packages.info().outputs == ("probabilities", "embedding", "heatmap")
    assert packages.info(embedding_size=None, heatmap_size=None).outputs == ("probabilities",)
