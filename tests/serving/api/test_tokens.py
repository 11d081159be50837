import json
import os
import subprocess
import sys

import jwt
import pytest

from bonafide.serving.api.settings import Settings
from bonafide.serving.api.tokens import SCOPES, development_token

SECRET = "s" * 32
PROGRAM = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps([name for name in sys.modules if "." not in name])))
from bonafide.cli.main import main
sys.argv = ["bonafide", "api-token", "anna"]
main()
"""


@pytest.fixture(scope="module")
def printed():
    """The token and the modules of a process that made it."""
    environment = os.environ | {"BONAFIDE_API_SECRET": SECRET}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, check=True
    )
    token, modules = done.stdout.splitlines()
    return token, json.loads(modules)


def test_a_token_says_who_asks_what_for_and_for_how_long():
    settings = Settings(secret=SECRET, issuer="me", audience="us")
    claims = jwt.decode(
        development_token(settings, "anna", ["predict"], 2), SECRET, ["HS256"], audience="us", issuer="me"
    )
    assert (claims["sub"], claims["scope"], claims["exp"] - claims["iat"]) == ("anna", "predict", 7200)


def test_the_command_prints_a_token_that_does_not_allow_training(printed):
    claims = jwt.decode(printed[0], SECRET, ["HS256"], audience="bonafide")
    unasked = ("feedback", "train", "alerts")
    assert claims["scope"].split() == [scope for scope in SCOPES if scope not in unasked]


def test_a_token_is_made_without_the_servers(printed):
    assert "jwt" in printed[1]
    assert not {"kserve", "fastapi", "numpy", "onnxruntime"} & set(printed[1])
