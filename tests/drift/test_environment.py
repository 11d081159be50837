import subprocess
import sys

import numpy as np
import pytest

from bonafide.drift.environment import PYTHON, SCRIPT, Check, detect, python
from bonafide.errors import BonafideError, ConfigError

ROWS = np.random.default_rng(2).normal(size=(200, 3)).astype(np.float32)


def named(monkeypatch, tmp_path, script: str) -> None:
    path = tmp_path / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv(PYTHON, str(path))


def test_without_the_environment_the_command_that_makes_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(PYTHON, str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="make setup-drift"):
        detect({}, {}, 10)


def test_it_lies_beside_the_environment_that_this_runs_in(monkeypatch, tmp_path):
    monkeypatch.delenv(PYTHON, raising=False)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    made = tmp_path / ".venv-drift" / "bin" / "python"
    made.parent.mkdir(parents=True)
    made.touch()
    assert python() == made


def test_an_environment_without_the_detectors_is_told(monkeypatch):
    monkeypatch.setenv(PYTHON, sys.executable)
    with pytest.raises(BonafideError, match="No module named 'alibi_detect'; try `make setup-drift`"):
        detect({}, {}, 60)


def test_one_that_does_not_answer_is_given_up(monkeypatch, tmp_path):
    named(monkeypatch, tmp_path, "exec sleep 60")
    with pytest.raises(BonafideError, match=r"did not answer within 0\.2 s; raise drift\.seconds"):
        detect({}, {}, 0.2)


def test_one_that_is_killed_is_told(monkeypatch, tmp_path):
    named(monkeypatch, tmp_path, "kill -9 $$")
    with pytest.raises(BonafideError, match="failed: exit code -9"):
        detect({}, {}, 10)


def test_each_detector_tells_another_sample_from_the_same(detectors):
    random = np.random.default_rng(3)
    shares = random.dirichlet(np.ones(3), 200).astype(np.float32)
    arrays = {
        "rows": ROWS,
        "same": random.normal(size=(150, 3)).astype(np.float32),
        "moved": (ROWS[:150] + 1).astype(np.float32),
        "shares": shares,
        "surer": shares**3 / (shares**3).sum(1, keepdims=True),
        "even": np.arange(200)[:, None] % 3,
        "one": np.ones((150, 1), np.int64),
        "new": np.full((150, 1), 7),
    }
    asked = {
        "mmd": ("mmd", "rows", "moved", {"permutations": 1000}),
        "mmd-again": ("mmd", "rows", "moved", {"permutations": 1000}),
        "mmd-same": ("mmd", "rows", "same", {"permutations": 1000}),
        "ks": ("ks", "rows", "moved", {}),
        "ks-same": ("ks", "rows", "same", {}),
        "uncertainty": ("uncertainty", "shares", "surer", {}),
        "uncertainty-same": ("uncertainty", "shares", "shares", {}),
        "chi-square": ("chi-square", "even", "one", {}),
        "chi-square-new": ("chi-square", "even", "new", {}),
        "chi-square-same": ("chi-square", "even", "even", {}),
        "chi-square-constant": ("chi-square", "one", "one", {}),
    }
    checks = {
        name: Check(test, one, other, 1, options) for name, (test, one, other, options) in asked.items()
    }
    found = detect(arrays, checks, 300)
    for name, answer in found.items():
        if name.endswith(("same", "constant")):
            assert min(answer.p) > 0.01, name
        else:
            assert max(answer.p) < 0.01, name
    assert found["mmd"].p == [pytest.approx(1 / 1001)]
    assert len(found["ks"].p) == 3
    assert found["mmd"] == found["mmd-again"]


def test_the_permutations_are_mmddrifts_own(detectors, tmp_path):
    """The same discrepancy, and a p-value as near to that of its own permutations as chance allows."""
    script = tmp_path / "compare.py"
    script.write_text(f"""
import sys; sys.path.insert(0, {str(SCRIPT.parent)!r})
import numpy as np
from detectors import MMDDrift, gaussian, mmd, permuted
from alibi_detect.utils._random import set_seed
random = np.random.default_rng(0)
reference = random.normal(size=(120, 4)).astype(np.float32)
window = (random.normal(size=(80, 4)) + 0.13).astype(np.float32)
set_seed(1)
theirs = MMDDrift(reference, backend="pytorch", n_permutations=2000).predict(window)["data"]
[ours], [distance] = mmd(reference, window, 2000)
assert abs(distance - theirs["distance"]) < 1e-6, (distance, theirs)
assert 0.02 < ours < 0.98, ours
assert abs(ours - theirs["p_val"]) < 4 * (2 * ours * (1 - ours) / 2000) ** 0.5, (ours, theirs)
assert not permuted(np.zeros((9, 9)), 3, 10) < 1, "what is the same everywhere is not far apart"
""")
    ended = subprocess.run([python(), script], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
