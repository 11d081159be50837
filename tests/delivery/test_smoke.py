import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from bonafide.delivery import smoke as module
from bonafide.delivery.checkout import checkout
from bonafide.delivery.repository import Promotion, promote
from bonafide.delivery.smoke import Limits, Seen, smoke
from bonafide.serving.answer import Answer
from tests.serving.conftest import start
from tests.serving.test_client import impostor  # noqa: F401

COMMAND = [sys.executable, "-m", "bonafide", "smoke"]
ONCE = ("--rate", "20", "--seconds", "0.5", "--p95", "60000")
JOB = Path(__file__).parents[2] / "kserve/overlays/staging/smoke.yaml"
GOOD = Answer(
    "colour",
    "7",
    ("red", "green"),
    {"label": np.array([b"red"], object), "probabilities": np.array([[0.75, 0.25]], np.float32)},
)
VERSION = Promotion("colour", "3", "file:///models/3", "r", "d", "d", "p", "0.1.0", "passed")


@pytest.fixture(scope="module")
def server(signed):
    running = start(signed, "--version", "7")
    yield running.url
    running.process.terminate()
    running.process.wait(30)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=120, env=os.environ | environment
    )


@pytest.fixture
def broken(impostor) -> str:  # noqa: F811
    """The address of what is ready and answers no question."""
    impostor.reply = 200, b"{}"
    return f"http://127.0.0.1:{impostor.server_port}"


def test_every_answer_of_a_good_service_is_counted(server):
    seen = smoke(server, "colour", "", rate=20, seconds=0.5)
    assert (seen.asked, seen.failures, seen.versions) == (10, Counter(), Counter({"7": 10}))
    assert 0 < seen.p95 <= max(seen.milliseconds)
    assert seen.broken(Limits(errors=0, p95=seen.p95)) == ""


def test_a_good_service_passes(server):
    result = run(server, "--model", "colour", *ONCE)
    assert (result.returncode, result.stdout.splitlines()[-1]) == (0, "passed"), result.stderr


def test_a_service_that_answers_nonsense_fails_with_the_reason(broken):
    result = run(broken, "--model", "colour", *ONCE)
    assert result.returncode == 1, result.stderr
    last = result.stdout.splitlines()[-1]
    assert last.startswith(
        "failed: 10 of 10 requests failed, 0.0% may; most often (10): the predictor answered"
    )


def test_a_service_that_is_not_there_fails(monkeypatch):
    monkeypatch.setattr(module, "WAIT_SECONDS", 0)
    seen = smoke("http://127.0.0.1:9", "colour", "", rate=100, seconds=0.02)
    assert seen.failures == Counter({"the predictor does not answer: ConnectError": 2})


def test_the_limits_hold_what_they_say():
    seen = Seen([float(n) for n in range(1, 101)], Counter({"no": 1}))
    assert seen.broken(Limits(errors=1 / 101, p95=96)) == ""
    assert seen.broken(Limits(errors=0.009, p95=96)).startswith("1 of 101 requests failed, 0.9% may")
    assert seen.broken(Limits(errors=1, p95=95)) == "95 % were answered within 95 ms, 95 ms is the limit"


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ({"label": np.array([b"blue"], object)}, "the label 'blue' is none"),
        ({"label": np.array([b"red", b"red"], object)}, "lacks a part"),
        ({"probabilities": np.array([[0.5, 0.6]], np.float32)}, "do not add up"),
        ({"probabilities": np.array([[-0.5, 1.5]], np.float32)}, "not between 0 and 1"),
        ({"probabilities": np.array([[np.nan, 1]], np.float32)}, "not between 0 and 1"),
        ({"probabilities": np.array([[1]], np.float32)}, r"the shape (1, 1) for 2 labels"),
        (None, "lacks a part"),
    ],
)
def test_what_is_no_answer_about_one_image_is_said(outputs, said):
    assert module._wrong(GOOD) == ""
    wrong = replace(GOOD, outputs={} if outputs is None else {**GOOD.outputs, **outputs})
    assert said in module._wrong(wrong)


def test_what_was_rolled_back_to_is_not_rolled_back_again(broken, tmp_path):
    place = str(tmp_path / "delivery")
    arguments = (broken, "--model", "colour", "--env", "staging", *ONCE)
    with checkout(place) as delivery:
        promote(delivery, "staging", VERSION)
    assert run(*arguments, BONAFIDE_DELIVERY=place).returncode == 1
    with checkout(place) as delivery:
        service = "environments/staging/colour/inferenceservice.yaml"
        (delivery.folder / service).write_text("of version 2\n")
        delivery.repository.index.add([service])
        delivery.commit("Roll back colour\n\nRolled-Back: p\n")
    result = run(*arguments, BONAFIDE_DELIVERY=place)
    assert result.returncode == 2
    assert "colour was rolled back in staging already" in result.stderr
    assert "failed:" not in result.stdout


@pytest.mark.parametrize(
    ("printed", "code", "rolls_back"),
    [
        ("passed", 0, False),
        ("failed: 3 of 10 requests failed, 1.0% may; most often (3): the 'reason'; $(no command)", 1, True),
        ("table", 1, False),
        ("table", 2, False),
    ],
)
def test_the_job_rolls_back_after_a_verdict_only(tmp_path, printed, code, rolls_back):
    (container,) = yaml.safe_load(JOB.read_text())["spec"]["template"]["spec"]["containers"]
    (script,) = container["args"]
    (tmp_path / "said").write_text(f"a table\n{printed}\n")
    command = tmp_path / "bonafide"
    command.write_text(
        f'#!/bin/sh\n[ "$1" = smoke ] && cat {tmp_path}/said && exit {code}\n'
        f'printf "%s\\n" "$@" >{tmp_path}/called\n'
    )
    command.chmod(0o755)
    result = subprocess.run(
        [*container["command"], script.replace("/tmp/", f"{tmp_path}/")],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "TASK": "colour"},
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (code, "")
    assert result.stdout == f"a table\n{printed}\n"
    called = tmp_path / "called"
    assert called.exists() is rolls_back
    if rolls_back:
        expected = ["rollback", "--task", "colour", "--env", "staging", "--why", f"smoke test {printed}"]
        assert called.read_text().splitlines() == expected
