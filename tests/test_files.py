"""What a failure, a full disk or a kill at any moment leaves on the disk."""

import errno
import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bonafide import files
from bonafide.errors import BonafideError

BIG = b"x" * 300_000


@pytest.fixture
def full_disk(tmp_path):
    """A folder that takes no file of over 100 kB: a small disk, or a limit where mounting is not allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "bonafide-test", folder]
    if os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0:
        yield folder
        subprocess.run(["umount", folder], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield folder
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def content(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_file_is_written_whole_and_readable(tmp_path):
    path = tmp_path / "new" / "folder" / "file"
    files.write_text(path, "é")
    assert path.read_bytes() == "é".encode()
    assert path.stat().st_mode & 0o777 == 0o644
    files.write_json(path, {"b": 1, "a": "é"})
    assert json.loads(path.read_text()) == {"b": 1, "a": "é"}
    assert list(content(tmp_path)) == ["new/folder/file"]


def test_a_folder_s_digest_is_what_sha256sum_says(tmp_path):
    files.write_text(tmp_path / "folder" / "b" / "file", "é")
    files.write_text(tmp_path / "folder" / "a", "")
    command = "sha256sum a b/file | sha256sum"
    said = subprocess.run(
        command, shell=True, cwd=tmp_path / "folder", capture_output=True, text=True, check=True
    )
    assert files.folder_digest(tmp_path / "folder") == said.stdout.split()[0]
    before = files.folder_digest(tmp_path / "folder")
    (tmp_path / "folder" / "a").rename(tmp_path / "folder" / "c")
    assert files.folder_digest(tmp_path / "folder") != before


def test_a_lock_is_released_by_a_kill(tmp_path):
    path = tmp_path / "new" / "lock"
    program = f"""
        from pathlib import Path
        from bonafide.files import lock
        with lock(Path({str(path)!r})):
            print(flush=True)
            input()
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdout.readline()
    with path.open() as stream, pytest.raises(BlockingIOError):
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    holder.kill()
    with files.lock(path):
        holder.wait()


def test_a_file_that_cannot_be_written_keeps_its_content(full_disk):
    path = full_disk / "file"
    files.write_bytes(path, b"old")
    with pytest.raises(BonafideError, match=r"cannot write .*file: .*make room"):
        files.write_bytes(path, BIG)
    assert content(full_disk) == {"file": b"old"}


def test_a_place_that_is_no_folder_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BonafideError, match=r"cannot write .*below"):
        files.write_bytes(tmp_path / "file" / "below", b"")
    with (
        pytest.raises(BonafideError, match=r"cannot write .*below"),
        files.new_folder(tmp_path / "file" / "below", "old"),
    ):
        pass


def test_a_folder_replaces_the_old_one_whole(tmp_path):
    target = tmp_path / "deep" / "target"
    for name in ("old", "new"):
        with files.new_folder(target, "old") as folder:
            assert folder.parent == target.parent, "a rename must stay on one disk"
            (folder / name).write_text(name)
    assert content(tmp_path) == {"deep/target/new": b"new"}
    assert target.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, BonafideError])
def test_an_error_inside_leaves_the_old_folder(tmp_path, error):
    target = tmp_path / "target"
    with files.new_folder(target, "old") as folder:
        (folder / "old").write_text("old")
    with pytest.raises(error), files.new_folder(target, "old") as folder:
        (folder / "new").write_text("new")
        raise error
    assert content(tmp_path) == {"target/old": b"old"}


def test_what_is_not_ours_is_not_replaced(tmp_path):
    (tmp_path / "holidays.jpg").write_bytes(b"a picture")
    for target in (tmp_path, tmp_path / "holidays.jpg"):
        refused = pytest.raises(BonafideError, match=r"holds no old, so it is not replaced")
        with refused, files.new_folder(target, "old"):
            pass
    assert content(tmp_path) == {"holidays.jpg": b"a picture"}


def test_an_empty_folder_and_a_link_to_one_of_ours_are_filled(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for text in ("first", "second"):
        with files.new_folder(tmp_path / "link", "old") as folder:
            (folder / "old").write_text(text)
    assert content(tmp_path / "real") == {"old": text.encode()}
    assert (tmp_path / "link").is_symlink()


def test_a_full_disk_leaves_the_old_folder(full_disk):
    target = full_disk / "target"
    with files.new_folder(target, "old") as folder:
        (folder / "old").write_text("old")
    refused = pytest.raises(BonafideError, match=r"cannot write .*target: .*make room")
    with refused, files.new_folder(target, "old") as folder:
        (folder / "new").write_bytes(BIG)
    assert content(full_disk) == {"target/old": b"old"}


REPLACE = """
    import os, signal, sys
    from pathlib import Path
    from bonafide.files import new_folder, write_bytes

    target, moment = Path(sys.argv[1]), int(sys.argv[2])
    events = 0

    def kill_at_the_moment(event, arguments):
        global events
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if writes or event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod"):
            events += 1
            if events > moment:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(kill_at_the_moment)
"""
FOLDER = """
    with new_folder(target, "a") as folder:
        for name in "abc":
            (folder / name).write_bytes(b"new")
"""
FILE = """
    write_bytes(target / "a", b"new")
"""


def killed_at_every_moment(tmp_path, work: str):
    """What is found at the target after a kill before each change of the file system, one after the other."""
    target, script = tmp_path / "target", textwrap.dedent(REPLACE) + textwrap.dedent(work)
    for moment in range(100):
        target.mkdir(exist_ok=True)
        for name in "abc":
            (target / name).write_bytes(b"old")
        ended = subprocess.run([sys.executable, "-c", script, target, str(moment)])
        yield content(target) if target.exists() else {}
        if ended.returncode == 0:
            return
        assert ended.returncode == -signal.SIGKILL
    raise AssertionError("it never came to its end")


def test_a_kill_leaves_the_old_file_or_the_new_one(tmp_path):
    found = [left["a"] for left in killed_at_every_moment(tmp_path, FILE)]
    assert found[0] == b"old"
    assert found[-1] == b"new"
    assert set(found) == {b"old", b"new"}
    assert len(found) > 3


def test_a_kill_leaves_the_old_folder_the_new_one_or_none(tmp_path):
    old, new = (dict.fromkeys("abc", state) for state in (b"old", b"new"))
    found = list(killed_at_every_moment(tmp_path, FOLDER))
    assert found[0] == old
    assert found[-1] == new
    assert len(found) > 6
    assert [left for left in found if left not in (old, new, {})] == []


def test_digest_is_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert files.sha256(tmp_path / "file") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_a_copy_is_whole_or_absent(tmp_path):
    (tmp_path / "source").write_bytes(b"new")
    files.copy(tmp_path / "source", tmp_path / "deep" / "target")
    assert (tmp_path / "deep" / "target").read_bytes() == b"new"
    with pytest.raises(BonafideError, match="cannot write"):
        files.copy(tmp_path / "nowhere", tmp_path / "deep" / "target")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["target"]


@pytest.mark.parametrize("there", [False, True])
def test_where_no_folder_can_be_renamed_it_is_copied_and_named_last(tmp_path, monkeypatch, there):
    """As in a bucket behind gcsfuse."""
    rename, written, copyfile = Path.rename, [], shutil.copyfile

    def refuse(self, target):
        if self.is_dir():
            raise OSError(errno.EMFILE, "Too many open files")
        return rename(self, target)

    def noted(source, target, **options):
        written.append(Path(target).name)
        return copyfile(source, target, **options)

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr(shutil, "copyfile", noted)
    target = tmp_path / "made"
    if there:
        target.mkdir()
        (target / "info.json").write_text("old")
        (target / "left.txt").write_text("old")
    with files.new_folder(target, "info.json") as folder:
        (folder / "info.json").write_text("new")
        (folder / "inner").mkdir()
        (folder / "inner" / "b.txt").write_text("b")
    assert {path.relative_to(target).as_posix() for path in target.rglob("*")} == {
        "info.json",
        "inner",
        "inner/b.txt",
    }
    assert (target / "info.json").read_text() == "new"
    assert written[-1] == "info.json"
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
