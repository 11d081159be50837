"""Buckets, against servers that speak S3 and Google Cloud Storage."""

import builtins
from pathlib import PurePosixPath

import pytest

from bonafide.batch.listing import listed
from bonafide.batch.run import score
from bonafide.errors import BonafideError, ImageError
from tests.batch.conftest import picture, rows
from tests.buckets import gs, s3, scheme

__all__ = ["gs", "s3", "scheme"]

BUCKET = "photographs"
NAMES = ["in/a.JPG", "in/deep/ünï, x.png", "in/empty.png", "in/notes.txt", "in/z.png", "other/b.png"]


@pytest.fixture
def store(scheme):
    import fsspec

    filesystem = fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False)
    if not filesystem.exists(BUCKET):
        filesystem.mkdir(BUCKET)
    for number, name in enumerate(NAMES):
        filesystem.pipe_file(f"{BUCKET}/{name}", b"" if "empty" in name else picture(number))
    yield filesystem
    filesystem.rm(BUCKET, recursive=True)
    if not filesystem.exists(BUCKET):
        filesystem.mkdir(BUCKET)


def names(listing):
    return [entry.name for entry in listing.entries]


def test_the_table_is_copied_to_a_bucket_and_replaces_nothing_unasked(store, scheme, engine, tmp_path):
    address, out = f"{scheme}://{BUCKET}/out/scores.csv", tmp_path / "scores.csv"
    given = {"engine": engine, "version": "7", "kind": "csv", "copy_to": address}
    score(f"{scheme}://{BUCKET}/in/*.png", out, **given)
    assert store.cat_file(address) == out.read_bytes()
    others = tmp_path / "others.csv"
    with pytest.raises(BonafideError, match=f"{address} is there already; .* say --overwrite"):
        score(f"{scheme}://{BUCKET}/other", others, **given)
    assert not others.exists()
    score(f"{scheme}://{BUCKET}/other", others, overwrite=True, **given)
    assert store.cat_file(address) == others.read_bytes() != out.read_bytes()


def test_a_bucket_that_is_not_there_takes_no_table(store, scheme, engine, tmp_path):
    address = f"{scheme}://nowhere/scores.csv"
    where = f"{scheme}://{BUCKET}/other"
    with pytest.raises(BonafideError, match=f"cannot write {address}: .*check the address"):
        score(where, tmp_path / "scores.csv", engine, "7", kind="csv", copy_to=address)


def test_a_prefix_is_a_folder(store, scheme):
    found = listed(f"{scheme}://{BUCKET}/in")
    assert names(found) == ["a.JPG", "deep/ünï, x.png", "empty.png", "z.png"]
    assert found.skipped == 1
    assert found.read(found.entries[1], 10**6) == picture(1)
    assert found.read(found.entries[1], 9) == picture(1)[:9]
    assert found.read(found.entries[2], 9) == b""


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("", [name for name in NAMES if not name.endswith("txt")]),
        ("/in/*.png", ["empty.png", "z.png"]),
        ("/**/*.png", ["in/deep/ünï, x.png", "in/empty.png", "in/z.png", "other/b.png"]),
        ("/in/z.png", ["z.png"]),
    ],
)
def test_a_bucket_a_glob_and_an_object(store, scheme, where, expected):
    found = listed(f"{scheme}://{BUCKET}{where}")
    assert names(found) == expected
    last = next(number for number, name in enumerate(NAMES) if PurePosixPath(name).name in expected[-1])
    assert found.read(found.entries[-1], 10**6) == picture(last)


def test_the_digest_follows_the_objects(store, scheme):
    where = f"{scheme}://{BUCKET}/in"
    before = listed(where).digest()
    assert listed(where).digest() == before
    store.pipe_file(f"{BUCKET}/in/z.png", picture(99))
    assert listed(where).digest() != before


def test_an_object_gone_meanwhile_is_one_bad_image(store, scheme):
    found = listed(f"{scheme}://{BUCKET}/in")
    store.rm_file(f"{BUCKET}/in/z.png")
    with pytest.raises(ImageError) as refused:
        found.read(found.entries[-1], 100)
    assert refused.value.reason == "unreadable"


def test_a_bucket_is_scored_like_a_folder(store, scheme, score, tmp_path):
    summary = score(f"{scheme}://{BUCKET}/in")
    assert (summary.scored, summary.failed) == (3, {"empty": 1})
    assert [row["path"] for row in rows(tmp_path / "scores.csv")][1] == "deep/ünï, x.png"


@pytest.mark.parametrize("where", [f"{BUCKET}/nowhere", "no-such-bucket/in"])
def test_nothing_there_is_told(store, scheme, where):
    with pytest.raises(BonafideError, match=f"{where} holds no JPEG|cannot list .*{where}"):
        listed(f"{scheme}://{where}")


def test_without_the_extra_it_is_named(monkeypatch):
    load = builtins.__import__

    def missing(name, *arguments):
        if name.split(".")[0] == "fsspec":
            raise ImportError(name)
        return load(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(BonafideError, match=r"pip install 'bonafide\[batch\]'"):
        listed("s3://bucket/in")
