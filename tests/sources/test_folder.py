import os
import shutil

import pytest

from bonafide.data.header import Limits
from bonafide.errors import DataError
from bonafide.sources.folder import folder_digest, read_folder, skipped_files
from bonafide.sources.tree import find_tree


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "pets"
    for name in ("cat/b.jpg", "cat/a.PNG", "cat/deep/er/c.webp", "dog/d.jpeg", "dog/old.gif"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    for name in (
        ".hidden/x.jpg",
        "cat/.thumb.jpg",
        "cat/.cache/y.jpg",
        "cat/notes.txt",
        "dog/list.csv",
        "README",
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("no image")
    return root


def test_reads_each_class_in_order(folder):
    images = list(read_folder(find_tree(folder)))
    assert [image.path for image in images] == [
        "cat/a.PNG",
        "cat/b.jpg",
        "cat/deep/er/c.webp",
        "dog/d.jpeg",
        "dog/old.gif",
    ]
    assert [image.label_name for image in images] == ["cat", "cat", "cat", "dog", "dog"]
    assert all(image.content == image.path.encode() for image in images)
    assert {(image.source, image.generator, image.group) for image in images} == {("pets", None, None)}


def test_files_without_an_image_s_extension_are_listed(folder):
    (folder / "manifest.csv").write_text("path\n")
    assert skipped_files(find_tree(folder)) == ("README", "cat/notes.txt", "dog/list.csv")


@pytest.fixture
def cifake(tmp_path):
    """A source that comes divided, as CIFAKE does."""
    root = tmp_path / "cifake"
    for name in ("test/FAKE/1.png", "test/REAL/2.png", "train/FAKE/3.png", "train/REAL/deep/4.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def test_a_source_s_own_split_is_no_label(cifake):
    (cifake / "train" / "notes.txt").write_text("no image")
    found = [(image.path, image.label_name, image.given) for image in read_folder(find_tree(cifake))]
    assert found == [
        ("test/FAKE/1.png", "FAKE", "test"),
        ("test/REAL/2.png", "REAL", "test"),
        ("train/FAKE/3.png", "FAKE", "train"),
        ("train/REAL/deep/4.png", "REAL", "train"),
    ]
    assert skipped_files(find_tree(cifake)) == ("train/notes.txt",)
    (cifake / "train" / "5.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"outside a class, for example train/5\.png"):
        read_folder(find_tree(cifake))


@pytest.mark.parametrize("other", ["dev/FAKE/5.png", "val/5.png"])
def test_folders_are_splits_only_if_all_are_named_so_and_hold_folders(cifake, other):
    (cifake / other).parent.mkdir(parents=True)
    (cifake / other).write_bytes(b"x")
    images = list(read_folder(find_tree(cifake)))
    assert {image.label_name for image in images} == {"test", "train", other.split("/")[0]}
    assert {image.given for image in images} == {None}


def test_the_manifest_may_give_the_split(folder, cifake):
    (folder / "manifest.csv").write_text("path,split\ncat/b.jpg,test\ndog/d.jpeg,\n")
    given = {image.path: image.given for image in read_folder(find_tree(folder)) if image.given}
    assert given == {"cat/b.jpg": "test"}
    (cifake / "manifest.csv").write_text("path,split\ntrain/FAKE/3.png,val\n")
    given = {image.path: image.given for image in read_folder(find_tree(cifake))}
    assert given["train/FAKE/3.png"] == "val"
    assert given["test/FAKE/1.png"] == "test"


def test_the_manifest_enriches(folder):
    lines = ["path,group,generator,source", "cat/b.jpg,photo-1,gan,web", "dog/d.jpeg,photo-1,,"]
    (folder / "manifest.csv").write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    images = read_folder(find_tree(folder))
    found = {image.path: (image.group, image.generator, image.source) for image in images}
    assert found["cat/b.jpg"] == ("photo-1", "gan", "web")
    assert found["dog/d.jpeg"] == ("photo-1", None, "pets")
    assert found["cat/a.PNG"] == (None, None, "pets")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,group\ncat/b.jpg,x", "no column path"),
        ("path,Group\ncat/b.jpg,x", r"unknown columns \['Group'\]"),
        ("path,group\ncat/none.jpg,x", "line 2: no image 'cat/none.jpg'"),
        ("path,group\ncat/b.jpg,x\ncat/b.jpg,y", "line 3: cat/b.jpg stands twice"),
        ("path,group\ncat/b.jpg,x,more", "line 2: more values than columns"),
        ("path,split\ncat/b.jpg,dev", "line 2: split 'dev' is none of train, val, test, holdout"),
        ("", "no column path"),
        (b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(folder, text, message):
    content = text if isinstance(text, bytes) else text.encode()
    (folder / "manifest.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_folder(find_tree(folder))


def test_problems_of_the_folder_are_found_before_anything_is_read(folder, tmp_path):
    with pytest.raises(DataError, match="is no folder"):
        find_tree(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is no folder"):
        find_tree(folder / "cat" / "b.jpg")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="no sub-folder"):
        read_folder(find_tree(empty))
    (empty / "cat").mkdir()
    with pytest.raises(DataError, match="no sub-folder with files"):
        read_folder(find_tree(empty))
    (empty / "cat" / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match=r"no image in the sub-folders \(cat\)"):
        read_folder(find_tree(empty))
    (folder / "stray.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"outside a class, for example stray\.jpg"):
        read_folder(find_tree(folder))


def test_a_huge_file_is_not_read_whole(folder):
    with (folder / "cat" / "huge.jpg").open("wb") as stream:
        stream.truncate(300 * 2**20)
    huge = next(image for image in read_folder(find_tree(folder)) if image.path == "cat/huge.jpg")
    assert len(huge.content) == Limits().max_bytes + 1


def test_an_unreadable_file_is_a_readable_error(folder):
    (folder / "cat" / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    with pytest.raises(DataError, match=r"cannot read .*gone\.jpg.*No such file"):
        list(read_folder(find_tree(folder)))
    with pytest.raises(DataError, match=r"cannot read .*gone\.jpg.*No such file"):
        folder_digest(find_tree(folder))


def test_a_name_that_is_not_utf8_does_not_break(folder):
    with open(os.fsencode(folder / "cat") + b"/\xff\xfe.jpg", "wb") as stream:
        stream.write(b"x")
    for image in read_folder(find_tree(folder)):
        image.path.encode()
    assert folder_digest(find_tree(folder))


def test_digest_follows_names_content_and_manifest(folder, tmp_path):
    before = folder_digest(find_tree(folder))
    copy = tmp_path / "elsewhere" / "pets"
    shutil.copytree(folder, copy)
    assert folder_digest(find_tree(copy)) == before
    (copy / "cat" / "notes.txt").write_text("changed")
    assert folder_digest(find_tree(copy)) == before
    seen = {before}
    (copy / "cat" / "more.txt").write_text("skipped as well, and listed")
    seen.add(folder_digest(find_tree(copy)))
    (copy / "cat" / "b.jpg").write_bytes(b"changed")
    seen.add(folder_digest(find_tree(copy)))
    (copy / "cat" / "b.jpg").rename(copy / "dog" / "b.jpg")
    seen.add(folder_digest(find_tree(copy)))
    (copy / "manifest.csv").write_text("path\n")
    seen.add(folder_digest(find_tree(copy)))
    assert len(seen) == 5


def test_linked_splits_and_classes_are_entered(tmp_path, folder, cifake):
    (tmp_path / "linked" / "test").mkdir(parents=True)
    (tmp_path / "linked" / "train").symlink_to(cifake / "train")
    for name in ("FAKE", "REAL"):
        (tmp_path / "linked" / "test" / name).symlink_to(cifake / "test" / name)
    found, expected = (
        list(read_folder(find_tree(root), source="x")) for root in (tmp_path / "linked", cifake)
    )
    assert found == expected
    (tmp_path / "classes").mkdir()
    (tmp_path / "classes" / "cat").symlink_to(folder / "cat")
    assert [image.label_name for image in read_folder(find_tree(tmp_path / "classes"))] == ["cat"] * 3


def test_hidden_folders_are_not_walked(folder, monkeypatch):
    entered, scan = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: entered.append(os.path.basename(path)) or scan(path))
    find_tree(folder)
    assert sorted(entered) == ["cat", "deep", "dog", "er", "pets"]


def test_a_folder_linked_inside_a_class_is_not_entered_and_listed(tmp_path, folder):
    (folder / "cat" / "elsewhere").symlink_to(tmp_path)
    assert "cat/elsewhere" in skipped_files(find_tree(folder))
