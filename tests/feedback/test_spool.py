import errno

import pytest

from bonafide import files
from bonafide.errors import BonafideError
from bonafide.feedback import spool as module
from bonafide.feedback.spool import Spool, SpoolFullError
from bonafide.telemetry import metrics
from tests.feedback.conftest import prediction


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool")


def batch(*numbers):
    return [prediction(number) for number in numbers]


def test_batches_come_back_in_their_order(spool):
    for numbers in ((1, 2), (3,), (4, 5, 6)):
        spool.append(batch(*numbers))
    waiting = spool.waiting()
    assert [spool.read(path) for path in waiting] == [batch(1, 2), batch(3), batch(4, 5, 6)]
    for path in waiting:
        spool.remove(path)
        spool.remove(path)
    assert spool.waiting() == []
    assert spool.read(waiting[0]) == []


def test_another_process_finds_what_was_left(spool, tmp_path):
    spool.append(batch(1, 2))
    other = Spool(tmp_path / "spool")
    assert [other.read(path) for path in other.waiting()] == [batch(1, 2)]


def test_there_is_an_end_to_it_and_room_again(tmp_path):
    spool = Spool(tmp_path / "spool", limit=2_000)
    spool.append(batch(1, 2))
    with pytest.raises(SpoolFullError, match="2,000 is the most; mend the database"):
        spool.append(batch(3, 4, 5))
    assert len(spool.waiting()) == 1
    with pytest.raises(SpoolFullError):
        Spool(tmp_path / "spool", limit=1_000).append(batch(3))
    spool.remove(spool.waiting()[0])
    spool.waiting()
    spool.append(batch(3, 4))


def test_its_size_is_told(spool, tmp_path):
    spool.append(batch(1))
    size = sum(path.stat().st_size for path in (tmp_path / "spool").iterdir())
    assert metrics.SPOOL_BYTES._value.get() == size
    spool.remove(spool.waiting()[0])
    spool.waiting()
    assert metrics.SPOOL_BYTES._value.get() == 0


def test_a_full_disk_leaves_nothing_of_a_batch(spool, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    spool.append(batch(1))
    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(BonafideError, match="No space left on device"):
        spool.append(batch(2))
    assert [spool.read(path) for path in spool.waiting()] == [batch(1)]


def test_a_clock_that_jumps_back_overwrites_nothing(spool, monkeypatch):
    monkeypatch.setattr(module.time, "time_ns", lambda: 5)
    for number in range(20):
        spool.append(batch(number))
    found = [spool.read(path)[0].id for path in spool.waiting()]
    assert sorted(found) == sorted(each.id for each in batch(*range(20)))


@pytest.mark.parametrize("damage", [b"\0" * 50 + b"\n", b"{\n", b'{"id": 1}\n', b"\n"])
def test_damage_costs_no_other_line_and_is_kept_aside(spool, tmp_path, damage, caplog):
    spool.append(batch(1, 2))
    (path,) = spool.waiting()
    whole = damage + path.read_bytes() + b"cut off"
    path.write_bytes(whole)
    before = metrics.PREDICTIONS_STORED.labels("dropped")._value.get()
    for _ in range(2):  # as while the database is away
        assert spool.read(path) == batch(1, 2)
    assert metrics.PREDICTIONS_STORED.labels("dropped")._value.get() == before + damage.count(b"\n") + 1
    (aside,) = (tmp_path / "spool").glob("*.damaged")
    assert aside.read_bytes() == whole
    assert "damaged" in caplog.text
    spool.remove(path)
    assert spool.waiting() == []


def test_a_file_of_damage_alone_holds_up_nothing(spool):
    spool.append(batch(1))
    (path,) = spool.waiting()
    path.write_bytes(b"cut off")
    assert spool.read(path) == spool.read(path) == []


def test_nobody_else_reads_it(spool, tmp_path):
    spool.append(batch(1))
    spool.append(batch(2))
    damaged, _ = spool.waiting()
    damaged.write_bytes(b"cut off")
    spool.read(damaged)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "spool").iterdir()} == {0o600}
