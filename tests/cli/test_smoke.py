import pytest

from bonafide.errors import ConfigError
from tests.cli.conftest import bonafide


def test_an_environment_needs_the_model_that_is_meant():
    with pytest.raises(ConfigError, match="--env needs --model"):
        bonafide("smoke", "http://127.0.0.1:1", "--env", "staging")
