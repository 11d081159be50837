"""What is scored: the suffixes, the order, and what the digest sees."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonafide.batch.listing import Entry, Listing, chosen, listed
from bonafide.errors import BonafideError


@pytest.fixture
def tree(tmp_path):
    for name in ("b.png", "a.JPG", "a/z.webp", "a/deep/y.jpeg", "notes.txt", "a/clip.gif"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(name.encode())
    return tmp_path / "in"


def names(listing):
    return [entry.name for entry in listing.entries]


def test_a_folder_stands_for_all_images_below_it(tree):
    found = listed(str(tree))
    assert names(found) == ["a.JPG", "a/deep/y.jpeg", "a/z.webp", "b.png"]
    assert found.skipped == 2
    assert found.read(found.entries[1], 100) == b"a/deep/y.jpeg"
    assert found.read(found.entries[1], 3) == b"a/d"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*", ["a.JPG", "b.png"]),
        ("**/*", ["a.JPG", "a/deep/y.jpeg", "a/z.webp", "b.png"]),
        ("a/**/*.jpeg", ["deep/y.jpeg"]),
        ("[ab].*", ["a.JPG", "b.png"]),
    ],
)
def test_a_glob_is_relative_to_its_fixed_part(tree, pattern, expected, monkeypatch):
    found = listed(f"{tree}/{pattern}")
    assert names(found) == expected
    assert found.read(found.entries[0], 100).decode().endswith(expected[0])
    monkeypatch.chdir(tree)
    assert names(listed(pattern)) == expected


def test_a_folder_named_like_a_glob_is_a_folder(tree, monkeypatch):
    odd = tree.rename(tree.with_name("in [2026]"))
    assert len(listed(str(odd)).entries) == 4
    monkeypatch.chdir(odd)
    assert names(listed("*.png")) == ["b.png"]


def test_links_to_files_are_followed_and_links_to_folders_are_not(tree):
    (tree / "link.png").symlink_to(tree / "notes.txt")
    (tree / "folder.png").symlink_to(tree / "a")
    found = listed(str(tree))
    assert names(found) == ["a.JPG", "a/deep/y.jpeg", "a/z.webp", "b.png", "link.png"]
    assert found.skipped == 2
    os.utime(tree / "notes.txt", ns=(1, 1))
    assert listed(str(tree)).digest() != found.digest()


def test_a_named_file_is_scored_whatever_its_suffix(tree):
    found = listed(str(tree / "notes.txt"))
    assert names(found) == ["notes.txt"]
    assert found.read(found.entries[0], 100) == b"notes.txt"


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("empty", "holds no JPEG, PNG or WebP file; give"),
        ("in/a/*.gif", "holds no JPEG, PNG or WebP file, only 1 other files"),
        ("nowhere", "is not there; give a folder"),
        ("ftp://host/x", "is not there; give a folder, a glob, a file, gs:// or s3://"),
        ("in/a**b", r"in/a\*\*b"),
        ("x" * 300, r"cannot list x+: .*File name too long"),
    ],
)
def test_nothing_to_score_is_told(tree, tmp_path, monkeypatch, where, told):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BonafideError, match=told):
        listed(where)


def test_a_folder_that_may_not_be_read_is_no_empty_folder(tree, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(BonafideError, match=r"cannot list .*deep: Permission denied"):
        listed(str(tree))


ENTRIES = st.builds(Entry, st.text(max_size=8), st.integers(0, 10**9), st.text("0123456789", max_size=6))


@given(st.lists(ENTRIES, max_size=6, unique_by=lambda entry: entry.name), st.randoms())
def test_the_order_of_finding_changes_nothing(entries, random):
    entries = [entry._replace(name=f"{entry.name}.png") for entry in entries]
    shuffled = random.sample(entries, len(entries))
    one, other = (chosen(each, read=None) for each in (entries, shuffled))
    assert one.entries == other.entries
    assert one.digest() == other.digest()


@given(st.lists(ENTRIES, max_size=4), st.lists(ENTRIES, max_size=4))
def test_digests_are_the_same_for_the_same_files_only(one, other):
    first, second = (Listing(tuple(each), 0, read=None).digest() for each in (one, other))
    assert (first == second) == (one == other)
