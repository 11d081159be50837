"""On its way to the database nothing that was accepted is lost or doubled, whatever fails."""

import errno
import hashlib
import itertools
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from bonafide.data.looks import looks
from bonafide.errors import BonafideError
from bonafide.feedback import images, writer
from bonafide.feedback.errors import StoreError
from bonafide.feedback.images import Images
from bonafide.feedback.spool import Spool
from bonafide.feedback.store import Store
from bonafide.feedback.writer import Writer
from bonafide.serving.edge.limits import MAXIMUM_ROWS
from bonafide.telemetry import metrics
from tests import packages
from tests.feedback.conftest import prediction

RED = packages.image((255, 0, 0), 40, "JPEG")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(writer, "GATHER_SECONDS", 0.005)
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.05)


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool")


@contextmanager
def running(*arguments, **options):
    made = Writer(*arguments, looks, **options)
    made.start()
    try:
        yield made
    finally:
        made.close()


def until(true, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def counted(outcome):
    return metrics.PREDICTIONS_STORED.labels(outcome)._value.get()


def samples(metric):
    [family] = metric.collect()
    return [sample for sample in family.samples if sample.name.endswith("_total")]


def images_counted(outcome):
    return metrics.STORE_IMAGES.labels(outcome)._value.get()


@contextmanager
def counting():
    """How much each outcome grew within the block; filled at its end."""
    outcomes = ("spooled", "stored", "duplicate", "dropped")
    before, grown = {each: counted(each) for each in outcomes}, {}
    yield grown
    grown.update({each: counted(each) - before[each] for each in outcomes if counted(each) != before[each]})


def test_each_outcome_is_told_before_it_happens(tmp_path, spool):
    stored, kept = metrics.PREDICTIONS_STORED, metrics.STORE_IMAGES
    stored.clear()
    kept.clear()
    Writer(Store(f"sqlite:///{tmp_path}/store.db"), spool, looks)
    told = {(sample.labels["outcome"], sample.value) for sample in samples(stored)}
    assert told == {("spooled", 0), ("stored", 0), ("duplicate", 0), ("dropped", 0)}
    told = {(sample.labels["outcome"], sample.value) for sample in samples(kept)}
    assert told == {("stored", 0), ("skipped", 0), ("failed", 0)}


def test_predictions_reach_the_database(store, spool):
    with counting() as grown, running(store, spool) as made:
        for number in range(1200):
            made.put(prediction(number))
    assert store.count() == 1200
    assert store.find("p-7") == prediction(7)
    assert grown == {"spooled": 1200, "stored": 1200}
    assert spool.waiting() == []


def test_the_image_is_looked_at(store, spool):
    with running(store, spool) as made:
        made.put(prediction(1, sha256=None, statistics={}), memoryview(bytearray(RED)))
        made.put(prediction(2, sha256=None, statistics={}), b"no image")
    found = store.find("p-1")
    assert found.sha256 == hashlib.sha256(RED).hexdigest()
    assert found.statistics == looks(RED)
    assert found.image is None
    assert store.find("p-2").statistics == {}


def test_brightness_takes_a_share_of_the_time_only(store, spool):
    asked = []

    def slow(content, brightness):
        asked.append(brightness)
        time.sleep(0.02 if brightness else 0)
        return {}

    made = Writer(store, spool, slow)
    made.start()
    for number in range(50):
        made.put(prediction(number), RED)
    made.close()
    assert asked[0] is True
    assert asked.count(True) < 5
    assert len(asked) == 50


def test_images_are_kept_where_a_place_is_given(store, spool, tmp_path):
    with running(store, spool, images=Images(str(tmp_path / "images"))) as made:
        made.put(prediction(1), RED)
        made.put(prediction(2), RED)
        made.put(prediction(3))
    address = store.find("p-1").image
    assert images.read(address) == RED
    assert store.find("p-2").image == address
    assert store.find("p-3").image is None
    assert len([path for path in (tmp_path / "images").rglob("*") if path.is_file()]) == 1


def test_an_image_that_cannot_be_kept_costs_no_prediction(store, spool, tmp_path, caplog):
    (tmp_path / "images").write_text("a file")
    with running(store, spool, images=Images(str(tmp_path / "images"))) as made:
        made.put(prediction(1), RED)
    assert store.find("p-1").image
    assert "images are not kept" in caplog.text


@pytest.mark.parametrize("error", [PermissionError("no"), RuntimeError("whatever")])
def test_whatever_becomes_of_an_image_the_next_prediction_is_kept(store, spool, tmp_path, monkeypatch, error):
    place, before = Images(str(tmp_path / "images")), images_counted("failed")
    save = place.save

    def refuse_once(*given):
        monkeypatch.setattr(place, "save", save)
        raise error

    monkeypatch.setattr(place, "save", refuse_once)
    with running(store, spool, images=place) as made:
        made.put(prediction(1), RED)
        until(lambda: images_counted("failed") == before + 1)
        made.put(prediction(2), RED)
    assert store.count() == 2
    assert images.read(store.find("p-2").image) == RED


def test_a_folder_that_refuses_a_look_is_told(tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError(errno.EACCES, "Permission denied")

    for name in ("exists", "stat"):
        monkeypatch.setattr(Path, name, refuse)
    monkeypatch.setattr("os.utime", lambda *_: refuse(_))
    with pytest.raises(BonafideError, match=r"cannot write .*Permission denied"):
        Images(str(tmp_path)).save("aa", b"content")


def test_what_still_waits_at_the_end_is_counted(store, spool, monkeypatch):
    monkeypatch.setattr(writer, "GRACE_SECONDS", 0.05)
    held, let_go = threading.Event(), threading.Event()

    def slow(*_):
        held.set()
        let_go.wait()
        return {}

    made = Writer(store, spool, slow)
    made.start()
    made.put(prediction(0), RED)
    held.wait()
    with counting() as grown:
        for number in range(1, 4):
            made.put(prediction(number))
        made.close()
    let_go.set()
    assert grown == {"dropped": 3}


class Away:
    """A store that is away until told."""

    def __init__(self, store):
        self.store, self.away, self.asked = store, True, 0

    def add(self, rows):
        self.asked += 1
        if self.away:
            raise StoreError("away")
        return self.store.add(rows)


def test_without_a_database_predictions_wait_on_disk(store, spool, caplog):
    away = Away(store)
    with counting() as grown, running(away, spool) as made:
        for number in range(100):
            made.put(prediction(number))
        until(lambda: away.asked >= 2 and spool.waiting())
        assert store.count() == 0
        away.away = False
        until(lambda: store.count() == 100)
    assert grown == {"spooled": 100, "stored": 100}
    assert caplog.text.count("predictions wait in the spool") == 1


def test_what_an_earlier_life_left_is_found(store, spool):
    with running(Away(store), spool) as made:
        for number in range(10):
            made.put(prediction(number))
    assert store.count() == 0
    with running(store, spool):
        until(lambda: store.count() == 10)


def test_a_kill_between_commit_and_the_end_of_the_file_doubles_nothing(store, spool):
    spool.append([prediction(number) for number in range(10)])
    store.add([prediction(number) for number in range(10)])
    with counting() as grown, running(store, spool):
        until(lambda: not spool.waiting())
    assert store.count() == 10
    assert grown == {"duplicate": 10}


def test_what_the_database_never_takes_holds_up_nothing(store, spool, caplog):
    with counting() as grown, running(store, spool) as made:
        for number in range(30):
            made.put(prediction(number, **({"label": None} if number == 11 else {})))
    assert store.count() == 29
    assert grown == {"spooled": 30, "stored": 29, "dropped": 1}
    assert "predictions are dropped" in caplog.text


def test_a_full_spool_drops_counts_and_tells(store, tmp_path, caplog):
    away, small = Away(store), Spool(tmp_path / "spool", limit=3_000)
    with counting() as grown, running(away, small) as made:
        for number in range(20):
            made.put(prediction(number))
            time.sleep(0.01)
        away.away = False
    assert grown["spooled"] + grown["dropped"] == 20
    assert grown["dropped"] > 0
    assert store.count() == grown["spooled"] == grown["stored"]
    assert "mend the database" in str([vars(record).get("error") for record in caplog.records])


def test_a_full_disk_drops_and_goes_on(store, spool, monkeypatch):
    full = threading.Event()
    append, before = spool.append, counted("dropped")

    def refuse(batch):
        if full.is_set():
            raise BonafideError("cannot write: No space left on device")
        append(batch)

    monkeypatch.setattr(spool, "append", refuse)
    with counting() as grown, running(store, spool) as made:
        made.put(prediction(1))
        until(lambda: store.count() == 1)
        full.set()
        made.put(prediction(2))
        until(lambda: counted("dropped") == before + 1)
        full.clear()
        made.put(prediction(3))
        until(lambda: store.count() == 2)
    assert grown == {"spooled": 2, "stored": 2, "dropped": 1}


def test_some_of_the_largest_requests_may_wait():
    assert writer.MOST_WAITING >= 3 * MAXIMUM_ROWS


def test_a_full_queue_drops_and_never_waits(store, spool, monkeypatch):
    monkeypatch.setattr(writer, "MOST_WAITING", 5)
    made = Writer(store, spool, looks)  # whose threads have not begun
    with counting() as grown:
        for number in range(8):
            made.put(prediction(number))
        made.start()
        made.close()
        made.put(prediction(9))
    assert grown == {"spooled": 5, "stored": 5, "dropped": 4}


def test_files_that_wait_take_so_much_memory_only(store, spool, monkeypatch):
    monkeypatch.setattr(writer, "MOST_FILES_BYTES", 2 * len(RED) + 500)
    made = Writer(store, spool, looks)
    for number in range(4):
        made.put(prediction(number, sha256=None), RED)
    made.start()
    made.close()
    assert [store.find(f"p-{number}").sha256 is None for number in range(4)] == [False, False, True, True]


def test_numbers_that_wait_take_so_much_memory_only(store, spool, monkeypatch):
    wide = {f"column {number}": 1.0 for number in range(100)}
    monkeypatch.setattr(writer, "MOST_WAITING_BYTES", 3 * 100 * writer.NUMBER_BYTES)
    made = Writer(store, spool, looks)
    with counting() as grown:
        for number in range(5):
            made.put(prediction(number, statistics=wide))
        made.start()
        made.close()
    assert grown == {"spooled": 3, "stored": 3, "dropped": 2}


def test_many_threads_may_put(store, spool):
    def put(made, numbers):
        for number in numbers:
            made.put(prediction(number))

    with running(store, spool) as made:
        parts = [range(start, start + 300) for start in range(0, 1200, 300)]
        threads = [threading.Thread(target=put, args=(made, numbers)) for numbers in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert store.count() == 1200


def test_a_server_that_goes_and_comes_under_load_loses_and_doubles_nothing(tmp_path, spool):
    from tests import postgres_server

    with postgres_server.serving() as server:
        server.execute("CREATE DATABASE restless")
        store = Store(server.address("restless"))
        store.database.migrate()
        numbers = itertools.count()
        with counting() as grown, running(store, spool) as made:
            for phase in ("up", "down", "up", "down", "up"):
                if phase == "down":
                    server.stop()
                end = time.monotonic() + 0.5
                while time.monotonic() < end:
                    made.put(prediction(next(numbers)))
                    time.sleep(0.001)
                if phase == "down":
                    assert spool.waiting()
                    server.start()
            sent = next(numbers)
            until(lambda: counted("spooled") >= sent and not spool.waiting())
        assert store.count() == sent
        assert grown["spooled"] == grown["stored"] + grown.get("duplicate", 0) == sent
        store.database.close()
