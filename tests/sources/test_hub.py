"""Datasets of the Hub by id and revision, against a server that speaks its API."""

import os
import subprocess
import sys
import time

import pytest
import yaml

from bonafide.data.dataset import read_info
from bonafide.errors import DataError
from bonafide.source import FolderSource, HuggingFaceSource
from bonafide.sources.digests import as_seen_elsewhere
from bonafide.sources.hub import find_commit
from bonafide.sources.ingest import ingest
from bonafide.task import load_task
from tests.sources import hub_server
from tests.sources.cifake import LABELS, NAMES, write_folder, write_parquet

ID = "someone/CIFAKE-little"
NEVER = "0" * 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder") / "cifake")


@pytest.fixture(scope="module")
def files(folder, tmp_path_factory):
    data = write_parquet(folder, tmp_path_factory.mktemp("parquet"))
    found = {f"data/{path.name}": path.read_bytes() for path in sorted(data.iterdir())}
    return {"README.md": b"# CIFAKE, little", ".gitattributes": b"", **found}


@pytest.fixture(scope="module")
def expected(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("expected") / "out"
    return ingest((FolderSource(path=str(folder), labels=NAMES),), LABELS, out, seed=1).digest


@pytest.fixture
def hub(files, tmp_path, monkeypatch):
    """Its client read the environment when it was imported, perhaps by another test."""
    from huggingface_hub import constants

    with hub_server.running() as server:
        server.commit(ID, files)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))
        yield server


@pytest.fixture
def source():
    return HuggingFaceSource(dataset=ID, labels=NAMES)


def made(source, out):
    return ingest((source,), LABELS, out, seed=1)


def downloaded(hub):
    return sorted({path.rpartition("/")[2] for _, path in hub.requests if path.startswith("/storage/")})


def test_it_is_the_dataset_that_a_folder_is_and_tells_its_commit(hub, source, tmp_path, expected):
    info = made(source, tmp_path / "out")
    assert info.digest == expected
    assert info.sources == {ID: 28}
    [origin] = info.origins
    assert (origin.kind, origin.name, origin.digest) == ("huggingface", ID, hub.refs[ID]["main"])
    assert [name.partition("-")[0] for name in downloaded(hub)] == ["test", "test", "train", "train"]


def test_a_branch_is_resolved_once_and_kept(hub, source, files, tmp_path, expected):
    task = load_task("authenticity").model_copy(update={"source": source})
    known = as_seen_elsewhere(task).source
    assert known == source.model_copy(update={"digest": hub.refs[ID]["main"]})
    newer = hub.commit(ID, {name: content for name, content in files.items() if "train" in name})
    info = made(known, tmp_path / "out")
    assert (info.digest, info.origins[0].digest) == (expected, known.digest)
    assert made(source, tmp_path / "new").origins[0].digest == newer
    assert read_info(tmp_path / "new").counts == {"all": {"real": 10, "ai-generated": 10}}


def test_a_part_may_be_taken(hub, source, tmp_path):
    part = source.model_copy(update={"path": "data/train-*"})
    assert made(part, tmp_path / "out").counts == {"all": {"real": 10, "ai-generated": 10}}
    assert {name.partition("-")[0] for name in downloaded(hub)} == {"train"}


def test_what_is_there_is_not_asked_for_again_even_if_the_hub_is_away(hub, source, tmp_path, monkeypatch):
    commit = find_commit(source)
    made(source, tmp_path / "out")
    before = len(hub.requests)
    pinned = source.model_copy(update={"revision": commit})
    assert made(pinned, tmp_path / "again") == read_info(tmp_path / "out")
    assert len(hub.requests) == before


def test_a_connection_that_breaks_is_taken_up_where_it_broke(hub, source, files, tmp_path, expected):
    name = next(name for name in files if "train" in name)
    hub.breaks.add(name)
    assert made(source, tmp_path / "out").digest == expected
    assert (name, len(files[name]) // 2) in hub.sent


def test_a_killed_run_goes_on_with_the_files_that_it_lacks(hub, files, tmp_path, expected):
    *others, last = (name for name in files if name.endswith(".parquet"))
    task = {"name": "little", "title": "Little", "labels": list(LABELS)}
    task["source"] = {"kind": "huggingface", "dataset": ID, "labels": NAMES}
    (tmp_path / "little.yaml").write_text(yaml.safe_dump(task))
    command = [sys.executable, "-m", "bonafide", "data", "ingest", "out", "--task", "little.yaml"]
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    hub.holds.add(last)
    process = subprocess.Popen(command, cwd=tmp_path, env=environment)
    assert hub.held.wait(120)
    while len(list((tmp_path / "home").glob("hub/*/snapshots/*/data/*.parquet"))) < len(others):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not (tmp_path / "out").exists()
    hub.sent.clear()
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    assert {name for name, _ in hub.sent} == {last}
    assert read_info(tmp_path / "out").digest == expected


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dataset": "someone/else"}, "the Hugging Face Hub shows no dataset someone/else; check the name"),
        ({"dataset": "no id at all"}, "cannot fetch the dataset no id at all from .*: Repo id must"),
        ({"revision": "v9"}, f"the dataset {ID} has no revision v9; give a branch, a tag or a commit"),
        ({"revision": NEVER}, f"the dataset {ID} has no revision {NEVER}"),
        ({"path": "other"}, "other names no .parquet file"),
        ({"label": "class"}, "has no column 'class'; it has image, label"),
    ],
)
@pytest.mark.parametrize("token", ["", "of-somebody"])
def test_what_is_not_there_is_a_sentence(hub, source, tmp_path, monkeypatch, change, said, token):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(DataError, match=said) as error:
        made(source.model_copy(update=change), tmp_path / "out")
    assert "\n" not in str(error.value)
    assert token not in str(error.value) or not token
    assert not (tmp_path / "out").exists()


def test_a_gated_dataset_asks_for_a_token_that_has_access(hub, source, tmp_path, monkeypatch, expected):
    hub.gated.add(ID)
    for token in ("", "of-somebody"):
        monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(DataError, match=f"the dataset {ID} is gated; ask for access .* HF_TOKEN"):
            made(source, tmp_path / "out")
    monkeypatch.setenv("HF_TOKEN", hub_server.TOKEN)
    assert made(source, tmp_path / "out").digest == expected


def test_a_hub_that_is_away_is_a_sentence(source, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DataError, match=f"cannot fetch the dataset {ID} from http://127.0.0.1:9: .* again"):
        made(source, tmp_path / "out")
