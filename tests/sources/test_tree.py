"""Folders in buckets keep the rules of folders on disk."""

import pytest

from bonafide.data.header import Limits
from bonafide.errors import DataError
from bonafide.sources.folder import folder_digest, read_folder, skipped_files
from bonafide.sources.tree import find_tree
from tests.buckets import gs, s3, scheme

__all__ = ["gs", "s3", "scheme"]

FILES = {
    "cat/b.jpg": b"b",
    "cat/a/z.PNG": b"z",
    "cat/empty.png": b"",
    "cat/notes.txt": b"no image",
    "cat/.thumb.jpg": b"hidden",
    ".cache/x/y.jpg": b"hidden",
    "dog/d.jpeg": b"d",
    "manifest.csv": b"path,group,split\ncat/b.jpg,photo-1,test\n",
}


@pytest.fixture
def store(scheme):
    import fsspec

    filesystem = fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False)
    if filesystem.exists("trees"):
        filesystem.rm("trees/pets", recursive=True)
    else:
        filesystem.mkdir("trees")
    for name, content in FILES.items():
        filesystem.pipe(f"trees/pets/{name}", content)
    filesystem.pipe("trees/pets-of-others/cat/x.jpg", b"x")
    return filesystem


@pytest.fixture
def where(scheme, store):
    return f"{scheme}://trees/pets"


@pytest.fixture
def local(tmp_path):
    for name, content in FILES.items():
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pets" / name).write_bytes(content)
    return tmp_path / "pets"


@pytest.mark.parametrize("end", ["", "/"])
def test_the_same_is_read_as_from_disk(where, end, local):
    here, there = find_tree(local), find_tree(where + end)
    images = list(read_folder(there))
    assert images == list(read_folder(here))
    assert [image.path for image in images] == ["cat/a/z.PNG", "cat/b.jpg", "cat/empty.png", "dog/d.jpeg"]
    assert (images[1].group, images[1].given, images[1].source) == ("photo-1", "test", "pets")
    assert skipped_files(there) == skipped_files(here) == ("cat/notes.txt",)


def test_of_a_huge_object_only_what_may_be_an_image_is_read(store, where):
    store.pipe("trees/pets/cat/huge.jpg", b"x" * (Limits().max_bytes + 100))
    huge = next(image for image in read_folder(find_tree(where)) if image.path == "cat/huge.jpg")
    assert len(huge.content) == Limits().max_bytes + 1


def test_an_object_that_has_grown_since_it_was_listed_is_read_whole(store, where):
    tree = find_tree(where)
    store.pipe("trees/pets/cat/b.jpg", b"grown")
    assert tree.read("cat/b.jpg", Limits().max_bytes + 1) == b"grown"
    assert tree.read("cat/b.jpg", None) == b"grown"


def test_of_each_object_little_is_kept(where):
    tree = find_tree(where)
    assert tree.version.args[-1]["cat/b.jpg"] == (1, tree.version("cat/b.jpg"))
    assert tree.version("cat/b.jpg")


def test_the_digest_follows_names_and_versions(store, where):
    seen = {folder_digest(find_tree(where))}
    assert folder_digest(find_tree(where)) in seen
    store.pipe("trees/pets/cat/b.jpg", b"other")
    seen.add(folder_digest(find_tree(where)))
    store.pipe("trees/pets/cat/more.png", b"more")
    seen.add(folder_digest(find_tree(where)))
    store.pipe("trees/pets/manifest.csv", b"path,group\ncat/b.jpg,photo-2\n")
    seen.add(folder_digest(find_tree(where)))
    assert len(seen) == 4


def test_what_cannot_be_read_is_a_sentence(scheme, store, where):
    with pytest.raises(DataError, match=r"nothing-here holds no file|cannot reach .*nothing-here"):
        find_tree(f"{scheme}://trees/nothing-here")
    with pytest.raises(DataError, match=r"no-such-bucket-at-all/x"):
        find_tree(f"{scheme}://no-such-bucket-at-all/x")
    images = read_folder(find_tree(where))
    store.rm("trees/pets/dog/d.jpeg")
    with pytest.raises(DataError, match=rf"cannot reach {where}/dog/d\.jpeg: .*run again"):
        list(images)


def test_a_manifest_that_does_not_fit_names_its_place(store, where):
    store.pipe("trees/pets/manifest.csv", b"path\ncat/none.jpg\n")
    with pytest.raises(DataError, match=rf"{where}/manifest\.csv line 2: no image 'cat/none\.jpg'"):
        read_folder(find_tree(where))
