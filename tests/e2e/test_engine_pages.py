"""The how-tos for engines: each command on them runs against its engine's stand-in, in the page's order."""

import re
import threading

import pytest
import yaml

from pipelines.runners import engine as following
from tests.buckets import gs
from tests.cli.test_engines import bonafide
from tests.docs.pages import scripts
from tests.pipelines import kfp_server, vertex_server
from tests.pipelines.test_engines import ENGINES
from tests.pipelines.test_vertex import bucket

__all__ = ["bucket", "gs"]

pytestmark = pytest.mark.e2e

SERVERS = {"kubeflow": (kfp_server, "host"), "vertex": (vertex_server, "endpoint")}


@pytest.fixture
def engine(request, bucket, tmp_path, monkeypatch):
    """The name of an engine that is set up in ``engines/`` and ends each run as soon as it is asked for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("BONAFIDE_KUBEFLOW_TOKEN", kfp_server.TOKEN)
    monkeypatch.setattr(following, "POLL_SECONDS", 0.01)
    module, key = SERVERS[request.param]
    with module.served() as server:
        settings = yaml.safe_load((ENGINES / f"{request.param}.example.yaml").read_text())
        (tmp_path / "engines").mkdir()
        file = tmp_path / "engines" / f"{request.param}.yaml"
        file.write_text(yaml.safe_dump(settings | {key: server.url}))
        over = threading.Event()
        ending = threading.Thread(target=end_runs, args=(server, over))
        ending.start()
        yield request.param
        over.set()
        ending.join()


def end_runs(server, over: threading.Event) -> None:
    while not over.wait(0.05):
        for name in list(getattr(server, "runs", None) or getattr(server, "jobs", ())):
            server.end(name.rpartition("/")[2], "SUCCEEDED")


def commands(page: str) -> list[list[str]]:
    """The page's commands for engines, without the program's name."""
    lines = "\n".join(scripts(page)).replace("\\\n", " ").splitlines()
    return [re.findall(r"'[^']+'|\S+", line)[1:] for line in lines if re.match("bonafide .*--engine", line)]


@pytest.mark.parametrize(
    ("page", "engine"),
    [("kubeflow", "kubeflow"), ("vertex", "vertex"), ("schedules", "kubeflow"), ("schedules", "vertex")],
    indirect=["engine"],
)
def test_each_command_of_the_page_works(page, engine):
    known = dict.fromkeys(SERVERS, engine)
    asked = commands(page)
    assert len(asked) >= 3
    for words in asked:
        told = bonafide(*(known.get(word, word).strip("'") for word in words))
        if found := re.search(r"^run (\S+)|^schedule (\S+):", told, re.MULTILINE):
            known |= {"RUN": found[1] or "", "SCHEDULE": found[2] or ""}
