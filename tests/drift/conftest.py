import numpy as np
import pytest

from bonafide.drift.environment import python
from bonafide.errors import ConfigError
from tests.drift import world


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture(scope="session")
def packaged(tmp_path_factory):
    return world.make(tmp_path_factory.mktemp("drift"), world.reference(np.random.default_rng(6)))


@pytest.fixture(scope="session")
def trusted(packaged):
    return packaged.parent / "keys"


@pytest.fixture(scope="session")
def detectors() -> None:
    try:
        python()
    except ConfigError as error:
        pytest.skip(f"drift environment: {error}")
