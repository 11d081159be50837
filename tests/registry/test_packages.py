"""Packages at a real MLflow server that keeps the artifacts itself, and their copies on this machine."""

import os
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from bonafide.errors import DeliveryError
from bonafide.files import folder_digest
from bonafide.home import REGISTRY
from bonafide.registry import packages
from bonafide.registry.packages import fetch, opponent
from bonafide.registry.tracking import client, experiment
from bonafide.registry.versions import Version, champion, crown
from tests.mlflow_server import running

HOUR = 3600


class Server(NamedTuple):
    """Its address, and the folder where it keeps artifacts."""

    url: str
    store: Path


@pytest.fixture(scope="module")
def mlflow_server(empty_registry, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with running(empty_registry, folder, "--artifacts-destination", str(folder / "store")) as url:
        yield Server(url, folder / "store")


@pytest.fixture
def server(mlflow_server, monkeypatch):
    monkeypatch.setenv(REGISTRY, mlflow_server.url)
    yield mlflow_server
    for model in client().search_registered_models():
        client().delete_registered_model(model.name)


def stored(server: Server, version: Version) -> Path:
    return server.store / version.uri.removeprefix("mlflow-artifacts:/")


def copies(home: Path) -> set[str]:
    return {path.name for path in (home / "packages").glob("*/")}


def new_run() -> str:
    return client().create_run(experiment("authenticity")).info.run_id


def test_two_models_of_one_run_lie_apart_and_are_fetched_when_wanted(server, own_home, build, record):
    run = new_run()
    folders = build(model=b"one", run_id=run), build(model=b"two", run_id=run)
    first, second = map(record, folders)
    crown(first)
    assert champion("authenticity").uri == first.uri != second.uri
    assert not copies(own_home)
    for version, folder in zip((first, second), folders, strict=True):
        found = fetch(version)
        assert found == own_home / "packages" / version.tags["package_digest"]
        assert folder_digest(found) == folder_digest(folder)
    assert opponent("authenticity", "1") == ("1", fetch(first))
    assert opponent("authenticity", "") is None


def test_nothing_stays_in_temporary_folders(server, record, tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    fetch(record(model=b"one"))
    assert not list((tmp_path / "scratch").iterdir())


def test_an_upload_that_was_cut_off_is_finished_and_what_is_there_is_not_written_again(server, build, record):
    folder = build(run_id=new_run())
    version = record(folder)
    (stored(server, version) / "signature").unlink()
    before = (stored(server, version) / "model.onnx").stat()
    packages.put(folder, version.uri)
    assert folder_digest(stored(server, version)) == folder_digest(folder)
    after = (stored(server, version) / "model.onnx").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("name", ["gate.json", "unsigned.txt"])
def test_other_bytes_are_neither_overwritten_nor_fetched(server, own_home, build, record, name):
    folder = build(run_id=new_run())
    version = record(folder)
    (stored(server, version) / name).write_text("other")
    with pytest.raises(DeliveryError, match="holds other bytes"):
        packages.put(folder, version.uri)
    with pytest.raises(DeliveryError, match="does not hold the package"):
        fetch(version)
    assert (stored(server, version) / name).read_text() == "other"
    assert not copies(own_home)


def test_the_cache_gives_up_what_was_longest_unused_but_nothing_of_the_last_hour(
    server, own_home, record, monkeypatch
):
    versions = [record(model=name.encode()) for name in ("one", "two", "three", "four")]
    digests = [version.tags["package_digest"] for version in versions]
    for age, version in zip((3, 4, 0.5), versions, strict=False):
        found = fetch(version)
        os.utime(found, times=(time.time() - age * HOUR,) * 2)
    (own_home / "packages" / ".killed").mkdir()
    size = sum(path.stat().st_size for path in found.iterdir())
    monkeypatch.setattr(packages, "CACHE_BYTES", 3.5 * size)
    fetch(versions[3])
    assert copies(own_home) == {digests[0], digests[2], digests[3]}
    monkeypatch.setattr(packages, "CACHE_BYTES", 0)
    fetch(versions[3])
    assert copies(own_home) == {digests[2], digests[3]}


def test_a_copy_is_not_fetched_again(server, record):
    version = record(model=b"one")
    copy = fetch(version)
    shutil.rmtree(stored(server, version))
    assert fetch(version) == copy


def test_a_package_on_this_machine_is_used_where_it_lies(tmp_path):
    version = Version("pets", "7", (tmp_path / "a blank").as_uri(), "", {})
    with pytest.raises(DeliveryError, match=r"a blank, the package of pets version 7, is gone"):
        fetch(version)
    (tmp_path / "a blank").mkdir()
    assert fetch(version) == tmp_path / "a blank"
    with pytest.raises(DeliveryError, match="has no package digest but ''"):
        fetch(replace(version, uri="s3://bucket/package"))


@pytest.mark.parametrize("digest", ["../keys", "a" * 63, "A" * 64, "/" + "a" * 64])
def test_a_digest_that_is_none_leads_nowhere(own_home, digest):
    (own_home / "keys").mkdir(parents=True)
    version = Version("pets", "7", "s3://bucket/package", "", {"package_digest": digest})
    with pytest.raises(DeliveryError, match="has no package digest but"):
        fetch(version)
