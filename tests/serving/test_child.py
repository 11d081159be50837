import httpx
import pytest

from bonafide.errors import BonafideError
from bonafide.serving.child import served


def test_a_server_lives_as_long_as_the_block(signed, monkeypatch):
    monkeypatch.setenv("BONAFIDE_HOME", str(signed.public_key.parent.parent))
    with served(signed.path, "7") as server:
        assert httpx.get(f"{server.url}/v2/models/colour").json()["versions"] == ["7"]
    assert server.process.returncode == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/v2/health/live")


def test_a_server_that_does_not_start_tells_why(signed, tmp_path):
    with (
        pytest.raises(BonafideError, match=r"(?s)did not start: .*cannot read the public key .*signing\.pub"),
        served(signed.path, "7"),
    ):
        pytest.fail("there is no key")
