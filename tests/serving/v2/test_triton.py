"""A client of another house, in an environment of its own, reads what the offline model answers."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from bonafide.serving.client import predict_local
from tests import packages

PYTHON = os.environ.get("BONAFIDE_TRITON_PYTHON") or (sys.executable if find_spec("tritonclient") else None)
NEEDED = "set BONAFIDE_TRITON_PYTHON to a Python that has tritonclient[http,grpc]"


@pytest.mark.skipif(PYTHON is None, reason=NEEDED)
def test_tritonclient_reads_the_offline_answers(server, signed, tmp_path):
    contents = [packages.image((200, 30, 30), 40, "JPEG"), packages.image((10, 90, 120), 33, "WEBP")]
    for number, content in enumerate(contents):
        (tmp_path / str(number)).write_bytes(content)
    script = Path(__file__).with_name("triton_client.py")
    addresses = [server.url.removeprefix("http://"), server.grpc]
    command = [PYTHON, script, *addresses, "colour", tmp_path / "0", tmp_path / "1"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    offline = predict_local(signed.path, contents, True, signed.public_key)
    answers = json.loads(result.stdout)
    assert len(answers) == 3
    for answer in answers.values():
        np.testing.assert_allclose(answer["probabilities"], offline.probabilities, atol=1e-6)
        np.testing.assert_allclose(answer["heatmap"], offline.heatmaps, atol=1e-6)
        assert answer["label"] == [offline.label(0), offline.label(1)]
