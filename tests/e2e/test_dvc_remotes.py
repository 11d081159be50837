"""Data and models go to every kind of remote and come back whole, by the how-to's own commands."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from bonafide.data.dataset import read_info
from bonafide.files import folder_digest
from bonafide.model.package import verify
from tests.buckets import gs, s3, scheme
from tests.docs.pages import scripts

__all__ = ["gs", "s3", "scheme"]

pytestmark = pytest.mark.e2e

STAGES = """stages:
  split:
    cmd: cp -r $MADE/dataset artifacts/splits
    outs: [artifacts/splits]
  export:
    cmd: cp -r $MADE/package artifacts/package
    outs: [artifacts/package]
"""
OF_AWS = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def told(word):
    [script] = [script for script in scripts("dvc") if word in script]
    return script


def run(script, folder, **environment):
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def here(dataset, signed, tmp_path):
    """A repository whose stages have made a dataset and a package."""
    made = tmp_path / "made"
    shutil.copytree(dataset, made / "dataset")
    shutil.copytree(signed.path, made / "package")
    (tmp_path / "here" / "artifacts").mkdir(parents=True)
    (tmp_path / "here" / "dvc.yaml").write_text(STAGES)
    run("git init --quiet && dvc init --quiet && dvc repro", tmp_path / "here", MADE=str(made))
    return tmp_path / "here"


def goes_and_comes_back(here, dataset, signed):
    """What Git would carry is taken to another machine, and the rest is pulled there."""
    there = here.with_name("there")
    run(told("dvc push"), here)
    shutil.copytree(here, there, ignore=shutil.ignore_patterns("artifacts", "cache", "tmp"))
    (there / "artifacts").mkdir()
    package_only, everything = told("dvc pull artifacts/package").splitlines()
    run(package_only, there)
    assert [path.name for path in (there / "artifacts").glob("[!.]*")] == ["package"]
    assert verify(there / "artifacts" / "package", signed.public_key) == signed.info
    run(everything, there)
    assert folder_digest(there / "artifacts" / "splits") == folder_digest(dataset)
    assert read_info(there / "artifacts" / "splits") == read_info(dataset)


def test_a_folder(here, dataset, signed):
    run(told("/mnt/shared/dvc").replace("/mnt/shared", str(here.parent)), here)
    goes_and_comes_back(here, dataset, signed)


def test_a_bucket(here, dataset, signed, scheme):
    store = fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False)
    store.exists("remotes") or store.mkdir("remotes")
    run(told(f"{scheme}://my-bucket").replace("my-bucket", "remotes"), here)
    goes_and_comes_back(here, dataset, signed)
    assert store.find("remotes/dvc")


def test_another_server_of_s3_by_its_address_and_a_token(here, dataset, signed, s3, monkeypatch):
    for name in OF_AWS:
        monkeypatch.delenv(name, raising=False)
    settings = {"endpoint_url": f"http://{s3}", "key": "of-a-member", "secret": "of-a-member"}
    store = fsspec.filesystem("s3", skip_instance_cache=True, **settings)
    store.exists("dvc") or store.mkdir("dvc")
    script = told("dagshub.com").replace("https://dagshub.com/USER/REPOSITORY.s3", f"http://{s3}")
    run(script, here, TOKEN="of-a-member")
    assert "of-a-member" not in (here / ".dvc" / "config").read_text()
    assert "config.local" in (here / ".dvc" / ".gitignore").read_text()
    goes_and_comes_back(here, dataset, signed)
    assert store.find("dvc")
