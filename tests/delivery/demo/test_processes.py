import os
import re
import sys

import pytest

from bonafide.delivery.demo.processes import announced, free_port, own_home, program, ready, running
from bonafide.errors import BonafideError, ConfigError

SAYS = "import sys, time; print('ready at http://127.0.0.1:9', flush=True); time.sleep(60)"
ADDRESS = re.compile(r" at (http://\S+)")


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code, "child"]


def test_state_lies_in_a_home_of_its_own_for_a_while(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://team.example")
    monkeypatch.delenv("BONAFIDE_STORE", raising=False)
    for name in ("BONAFIDE_PACKAGES", "BONAFIDE_SIGNING_KEY", "BONAFIDE_PUBLIC_KEY"):
        monkeypatch.setenv(name, "of a team")
    before = dict(os.environ)
    with own_home(tmp_path, BONAFIDE_STORE="local"):
        assert os.environ["BONAFIDE_HOME"] == str(tmp_path)
        assert os.environ["BONAFIDE_STORE"] == "local"
        assert "MLFLOW_TRACKING_URI" not in os.environ
        assert "of a team" not in os.environ.values()
    assert dict(os.environ) == before


def test_a_process_says_its_address_and_ends_with_the_block(tmp_path):
    with announced(python(SAYS), tmp_path / "log", ADDRESS, tmp_path) as address:
        assert address == "http://127.0.0.1:9"


def test_one_that_says_none_is_told_with_its_log(tmp_path):
    with (
        pytest.raises(BonafideError, match=r"child did not start; .*log says why"),
        announced(python("import sys; sys.exit('no room')"), tmp_path / "log", ADDRESS, tmp_path),
    ):
        pass
    assert "no room" in (tmp_path / "log").read_text()


def test_one_that_ends_before_it_answers_is_told(tmp_path):
    command = [sys.executable, "-c", "print('bad configuration')"]
    with (
        pytest.raises(BonafideError, match="did not start"),
        ready(command, tmp_path / "log", f"http://127.0.0.1:{free_port()}"),
    ):
        pass
    assert "bad configuration" in (tmp_path / "log").read_text()


def test_one_that_answers_is_there(tmp_path):
    port = free_port()
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    with ready(command, tmp_path / "log", f"http://127.0.0.1:{port}"):
        pass
    with (tmp_path / "log").open("a") as log, running(python(SAYS), log, log) as process:
        assert process.poll() is None
    assert process.returncode is not None


def test_a_program_goes_by_several_names(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="first is not installed; on Debian: apt install prometheus"):
        program("first", "second")
    (tmp_path / "second").touch(0o755)
    assert program("first", "second") == str(tmp_path / "second")
