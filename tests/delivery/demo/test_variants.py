import numpy as np
import pytest

from bonafide.delivery.demo.variants import make, rounded, slowed
from bonafide.model.package import verify
from bonafide.serving.compute.engine import Engine
from tests.data.pictures import encode, picture


@pytest.mark.e2e
@pytest.mark.parametrize("change", [rounded, slowed])
def test_a_variant_is_a_package_that_answers_alike(made, tmp_path, change):
    private, public = made.keys / "signing.pem", made.keys / "signing.pub"
    make(made.package, tmp_path / "variant", private, public, change)
    assert verify(tmp_path / "variant", public).model_digest != verify(made.package, public).model_digest
    image = encode(picture(1, 32, 32))
    before, after = (
        Engine(package, public, threads=1).score(image, ("probabilities",)).scores["probabilities"]
        for package in (made.package, tmp_path / "variant")
    )
    assert np.abs(before - after).max() < 0.01
