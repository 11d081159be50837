"""The same images are the same dataset, wherever they lie and however they are packed."""

import shutil
import subprocess
import sys

import pytest

from bonafide.data.dataset import read
from bonafide.source import FolderSource, ParquetSource
from bonafide.sources.ingest import ingest
from tests.buckets import gs, s3, scheme
from tests.sources.cifake import LABELS, NAMES, write_folder, write_parquet

__all__ = ["gs", "s3", "scheme"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("folder") / "cifake")


@pytest.fixture(scope="module")
def parquet(folder, tmp_path_factory):
    return write_parquet(folder, tmp_path_factory.mktemp("parquet"))


@pytest.fixture
def bucket(scheme):
    """An empty place in a bucket, and its client."""
    import fsspec

    filesystem = fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False)
    if not filesystem.exists("one-dataset"):
        filesystem.mkdir("one-dataset")
    return f"{scheme}://one-dataset", filesystem


def uploaded(bucket, local, name):
    """Each file below ``local``, under ``name`` in the bucket."""
    address, filesystem = bucket
    for path in (path for path in local.rglob("*") if path.is_file()):
        filesystem.pipe(f"{address}/{name}/{path.relative_to(local).as_posix()}", path.read_bytes())
    return f"{address}/{name}"


@pytest.fixture(scope="module")
def expected(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("expected") / "out"
    return ingest((FolderSource(path=str(folder), labels=NAMES),), LABELS, out, seed=1), rows(out)


def rows(out):
    """What the digest is made from, and what the source gave."""
    return read(out, "all", ["sha256", "label_name", "group", "given"]).to_pylist()


def same(source, tmp_path, expected):
    info = ingest((source,), LABELS, tmp_path / "out", seed=1)
    assert rows(tmp_path / "out") == expected[1]
    assert info.digest == expected[0].digest


def test_it_is_divided_as_the_folder_says(expected):
    info, found = expected
    assert info.counts == {"all": {"real": 14, "ai-generated": 14}}
    assert [row["given"] for row in found] == ["test"] * 8 + ["train"] * 20


def test_parquet_on_disk(parquet, tmp_path, expected):
    same(ParquetSource(path=str(parquet), labels=NAMES), tmp_path, expected)


def test_parquet_in_a_bucket(parquet, bucket, tmp_path, expected):
    where = uploaded(bucket, parquet, "parquet")
    same(ParquetSource(path=where, labels=NAMES), tmp_path, expected)


def test_a_folder_in_a_bucket(folder, bucket, tmp_path, expected):
    where = uploaded(bucket, folder, "folder")
    same(FolderSource(path=where, labels=NAMES), tmp_path, expected)


@pytest.mark.e2e
def test_a_folder_that_dvc_brings_from_a_bucket(folder, bucket, tmp_path, expected):
    """Added and pushed on one machine, pulled on another."""
    here, there = tmp_path / "here", tmp_path / "there"
    shutil.copytree(folder, here / "cifake")
    dvc("init", "--no-scm", folder=here)
    dvc("remote", "add", "--default", "store", f"{bucket[0]}/dvc", folder=here)
    dvc("add", "cifake", folder=here)
    dvc("push", folder=here)
    shutil.copytree(here, there, ignore=shutil.ignore_patterns("cache", "tmp", "cifake"))
    dvc("pull", folder=there)
    same(FolderSource(path=str(there / "cifake"), labels=NAMES), tmp_path, expected)


def dvc(*words, folder):
    done = subprocess.run([sys.executable, "-m", "dvc", *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
