"""What the how-tos say to copy runs against a real server, and answers what the pages promise."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests import packages
from tests.docs.pages import blocks, scripts
from tests.serving.conftest import start
from tests.serving.v2.test_clients import NEEDED, PYTHON

RED = r"red \['0\.9\d\d', '0\.0\d\d', '0\.0\d\d'\]"
BLUE = r"blue \['0\.0\d\d', '0\.0\d\d', '0\.9\d\d'\]"
BOTH = rf"photo.jpg {RED}\nother.png {BLUE}\n"
MAPS = r"heat maps: \(2, 4, 4\)\n"
ROW = r"\[0\.9\d+,0\.0\d+,0\.0\d+\]"
ANSWER = rf'{{"id":.*"data":\["red"\].*"data":{ROW}.*"model_version":"7".*}}'
EXPECTED = {
    "ask-with-curl": [
        ANSWER,
        r'.*"shape":\[2,3\].*"name":"heatmap","shape":\[2,4,4\].*',
        ANSWER,
        ANSWER,
        r'{"name":"colour".*"versions":\["7"\]}\[{"name":"colour","version":"7","state":"READY".*',
    ],
    "ask-from-python": [BOTH, BOTH + MAPS, BOTH + MAPS, r"\['red', 'red'\]\n"],
    "ask-by-grpc": [
        BOTH,
        BOTH + MAPS,
        BOTH.replace("red ", "").replace("blue ", ""),
        r"server SERVING\ncolour SERVING\n",
    ],
}


def run(script: str, server, folder: Path) -> subprocess.CompletedProcess:
    """Run a shell block as a reader would, on our ports, with our model."""
    told = {
        "http://127.0.0.1:8080": server.url,
        "127.0.0.1:8080": server.url.removeprefix("http://"),
        "127.0.0.1:8081": server.grpc,
        "authenticity": "colour",
        "python ": f"{PYTHON if 'triton' in script else sys.executable} ",
    }
    for ours, theirs in told.items():
        script = script.replace(ours, theirs)
    command = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = start(packages.make(tmp_path_factory.mktemp("signed")), "--version", "7")
    yield running
    running.process.terminate()
    running.process.wait(30)


@pytest.fixture(scope="module", params=EXPECTED)
def page(request, tmp_path_factory):
    """A page, and a folder with its Python files and the images that it speaks of."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "photo.jpg").write_bytes(packages.image((220, 30, 30), 40, "JPEG"))
    (folder / "other.png").write_bytes(packages.image((30, 30, 220), 40))
    for language, title, content in blocks(request.param):
        if language == "python":
            (folder / title).write_text(content)
    return request.param, folder


def test_the_examples_answer(page, server):
    name, folder = page
    assert shutil.which("curl"), "the examples need curl"
    for script, expected in zip(scripts(name), EXPECTED[name], strict=True):
        if "triton" in script and PYTHON is None:
            continue
        done = run(script, server, folder)
        assert re.fullmatch(expected, done.stdout, re.DOTALL), f"{script}\n{done.stdout}\n{done.stderr}"


@pytest.mark.skipif(PYTHON is None, reason=NEEDED)
def test_the_triton_examples_were_among_them():
    assert sum("triton" in script for name in EXPECTED for script in scripts(name)) == 2


def test_every_example_in_python_is_run(page):
    name, _ = page
    titles = {title for language, title, _ in blocks(name) if language == "python"}
    asked = {word for script in scripts(name) for word in re.findall(r"python (\S+)", script)}
    assert titles == asked


@pytest.fixture
def versions(tmp_path):
    """A server of the folder ``models`` with version 7, beside it a new ``package``, and clients may load."""
    new = packages.make(tmp_path, sharpness=2)
    (tmp_path / "models").mkdir()
    packages.make(tmp_path, "models/7")
    running = start(new._replace(path=tmp_path / "models"), "--watch=0.2", "--repository-control")
    yield running
    running.process.terminate()
    running.process.wait(30)


def test_a_version_is_added_and_taken_out_as_the_page_says(versions, tmp_path):
    shell = {script.split()[0]: script for script in scripts("serve")}
    with httpx.Client(base_url=versions.url) as client:
        assert client.get("/v2/models/colour").json()["versions"] == ["7"]
        assert run(shell["cp"], versions, tmp_path).returncode == 0
        while (found := client.get("/v2/models/colour").json()["versions"]) == ["7"]:
            time.sleep(0.05)
        assert found == ["9", "7"]
        assert run(shell["curl"], versions, tmp_path).stdout == (
            '{"name":"colour","load":true}{"name":"colour","unload":true}'
        )
        assert client.get("/v2/models/colour").status_code == 404
        assert client.get("/v2/health/ready").status_code == 503


def test_a_link_is_pointed_elsewhere_as_the_page_says(server, tmp_path):
    (tmp_path / "package-9").mkdir()
    (tmp_path / "current").symlink_to("models")
    [script] = [script for script in scripts("serve") if script.startswith("ln ")]
    assert run(script, server, tmp_path).returncode == 0
    assert (tmp_path / "current").readlink() == Path("package-9")
