"""Both databases, held to the same."""

import math
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta, timezone
from multiprocessing import get_context

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from bonafide.errors import ConfigError
from bonafide.feedback.database import Database
from bonafide.feedback.errors import ContentError, StoreError
from bonafide.feedback.store import Store
from bonafide.feedback.tables import Base
from tests.feedback.conftest import LABELS, NOON, prediction

LATER, SECOND = NOON + timedelta(days=1), timedelta(seconds=1)


def test_what_is_kept_is_found(store):
    given = [prediction(number) for number in range(5)]
    bare = prediction(9, embedding=None, sha256=None, statistics={}, latency_ms=None)
    assert store.add([*given, bare]) == 6
    assert store.find("p-3") == given[3]
    assert store.find("p-9") == bare
    assert store.find("p-4").time.tzinfo is not None
    assert store.find("none") is None
    assert store.add([]) == 0


def test_nobody_else_reads_a_file(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/folder/store.db")
    store.database.check()
    store.add([prediction(1)])
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "folder").glob("store.db*")}
    assert modes.pop("store.db.lock") is not None  # is empty
    assert modes == dict.fromkeys(("store.db", "store.db-wal", "store.db-shm"), 0o600)


def test_an_id_is_kept_once_however_often_it_comes(store):
    first = prediction(1)
    assert store.add([first, prediction(2)]) == 2
    assert store.add([prediction(1, label="other"), prediction(3), prediction(3)]) == 1
    assert store.find("p-1") == first
    assert store.count() == 3


def test_many_writers_double_nothing(store):
    batches = [[prediction(number) for number in range(start, start + 60)] for start in range(0, 240, 30)] * 2
    with ThreadPoolExecutor(8) as pool:
        new = sum(pool.map(store.add, batches))
    assert new == store.count() == 270


def test_a_batch_is_kept_whole_or_not_at_all(store):
    with pytest.raises(ContentError, match="refuses what it is given"):
        store.add([prediction(1), prediction(2, label=None)])
    assert store.count() == 0


def test_what_fits_no_index_is_the_content_s_fault(store):
    """As random text, which a database cannot compress; SQLite's indices have no limit."""
    task = random.Random(7).randbytes(10_000).hex()
    if store.database.is_file:
        assert store.add([prediction(1, task=task)]) == 1
        return
    with pytest.raises(ContentError, match="index row"):
        store.add([prediction(1, task=task)])


def test_a_window_is_aligned_and_in_order(store):
    given = [prediction(number) for number in (4, 2, 0, 3, 1)]
    store.add([*given, prediction(0, id="other", task="cats"), prediction(2, id="p-20", version="8")])
    found = store.window("authenticity", NOON, LATER)
    assert found.ids.tolist() == ["p-0", "p-1", "p-2", "p-20", "p-3", "p-4"]
    assert len(found) == 6
    assert found.times.tolist() == [(NOON + timedelta(minutes=m)).timestamp() for m in (0, 1, 2, 2, 3, 4)]
    assert found.names == tuple(sorted(LABELS))
    assert found.labels.tolist() == [LABELS[number % 3] for number in (0, 1, 2, 2, 3, 4)]
    columns = [found.names.index(label) for label in found.labels]
    np.testing.assert_allclose(found.probabilities[np.arange(6), columns], 0.8)
    np.testing.assert_allclose(found.confidences, 0.8)
    assert found.embeddings[:, 0].tolist() == [0, 1, 2, 2, 3, 4]
    assert found.statistics["jpeg_quality"].tolist() == [75] * 6
    kinds = (found.times, found.confidences, found.probabilities, found.embedded, found.embeddings)
    assert [str(each.dtype) for each in kinds] == ["float64", "float32", "float32", "bool", "float32"]


def test_a_window_has_its_start_and_lacks_its_end(store):
    store.add([prediction(number) for number in range(4)])
    found = store.window("authenticity", NOON + timedelta(minutes=1), NOON + timedelta(minutes=3))
    assert found.ids.tolist() == ["p-1", "p-2"]
    elsewhere = timezone(timedelta(hours=5))
    moved = [(NOON + timedelta(minutes=minutes)).astimezone(elsewhere) for minutes in (1, 3)]
    assert store.window("authenticity", *moved).ids.tolist() == ["p-1", "p-2"]


def test_of_a_large_window_some_are_drawn_and_stand_in_order(store):
    store.add([prediction(number) for number in range(400)])
    found = store.window("authenticity", NOON, LATER, most=100)
    again, other = (store.window("authenticity", NOON, end, most=100) for end in (LATER, LATER + SECOND))
    assert len(found) == 100
    assert (np.diff(found.times) > 0).all()
    assert found.ids.tolist() == again.ids.tolist() != other.ids.tolist()


def test_a_caller_s_choice_of_an_id_does_not_place_it_in_the_window(store):
    store.add([prediction(number) for number in range(300)])
    store.add([prediction(number, id=f"!{number:03}") for number in range(100)])
    found = store.window("authenticity", NOON, LATER, most=100)
    assert 10 <= sum(name.startswith("!") for name in found.ids) <= 40


def test_a_window_may_be_of_one_version(store):
    store.add([prediction(0), prediction(1, version="8")])
    assert store.window("authenticity", NOON, LATER, version="8").ids.tolist() == ["p-1"]


def test_what_is_not_known_is_nan(store):
    odd = prediction(
        1,
        embedding=None,
        statistics={"width": 9},
        probabilities={"real": math.nan, "mask": 0.2},
        label="mask",
    )
    store.add([prediction(0), odd, prediction(2, embedding=np.ones(3, "<f4").tobytes()), prediction(3)])
    found = store.window("authenticity", NOON, LATER)
    assert found.names == tuple(sorted((*LABELS, "mask")))
    assert np.isnan(found.probabilities[1]).tolist() == [True, True, False, True]
    assert found.confidences[1] == np.float32(0.2)
    assert found.embedded.tolist() == [True, False, False, True]
    assert found.embeddings.shape == (2, 4)
    assert found.statistics["width"].tolist() == [64, 9, 64, 64]
    assert np.isnan(found.statistics["brightness"]).tolist() == [False, True, False, False]


def test_an_empty_window_has_its_shapes(store):
    found = store.window("authenticity", NOON, LATER)
    assert (len(found), found.names, found.probabilities.shape, found.embeddings.shape) == (
        0,
        (),
        (0, 0),
        (0, 0),
    )


def test_a_clock_that_jumps_back_loses_nothing(store):
    times = [NOON, NOON - timedelta(hours=3), NOON + timedelta(seconds=1)]
    store.add([prediction(number, time=time) for number, time in enumerate(times)])
    assert store.window("authenticity", NOON - timedelta(days=1), LATER).ids.tolist() == ["p-1", "p-0", "p-2"]


def test_what_is_old_is_forgotten(store, monkeypatch):
    monkeypatch.setattr("bonafide.feedback.store.FORGOTTEN_AT_ONCE", 2)
    shared = {"image": "images/one"}
    store.add([prediction(number, **shared) for number in range(3)])
    store.add(
        [prediction(3, image="images/two"), prediction(10, **shared), prediction(11, image="images/three")]
    )
    assert store.forget(NOON + timedelta(minutes=9)) == (4, ["images/two"])
    assert store.count() == 2
    assert store.forget(NOON + timedelta(minutes=9)) == (0, [])
    assert store.forget(LATER) == (2, ["images/one", "images/three"])


def test_the_migrations_make_the_tables_of_the_code(store):
    with store.database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_to_migrate_again_changes_nothing(store):
    store.add([prediction()])
    store.database.migrate()
    store.database.check()
    assert store.count() == 1


def migrate(address):
    Database(address).migrate()


def test_several_may_migrate_at_once(address):
    with get_context("spawn").Pool(3) as processes:
        processes.map(migrate, [address] * 3)
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(migrate, [address] * 3))
    Database(address).check()


def test_a_server_s_tables_are_made_by_command_only(postgresql):
    postgresql.execute("CREATE DATABASE bare")
    bare = Store(postgresql.address("bare"))
    with pytest.raises(
        StoreError, match=r"of revision none, this version needs 0002; run 'bonafide feedback"
    ):
        bare.database.check()
    with pytest.raises(StoreError, match="'bonafide feedback migrate' was run"):
        bare.count()


def test_a_file_s_tables_are_made_when_it_is_looked_at(tmp_path):
    made = Store(f"sqlite:///{tmp_path}/new/store.db")
    made.database.check()
    assert made.count() == 0


def test_text_that_a_database_has_no_room_for_is_refused_or_kept(store):
    nul = prediction(1, label="a\0b")
    try:
        store.add([nul])
    except ContentError:
        assert store.count() == 0
    else:
        assert store.find("p-1") == nul


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("nonsense", "cannot be read"),
        ("mysql://host/base", "cannot be 'mysql'"),
        ("sqlite://", "cannot be 'sqlite'"),
        ("postgresql://u:hush@host/base?sslmode=perhaps", "'perhaps' of the store is none of"),
    ],
)
def test_another_address_is_refused(given, told):
    with pytest.raises(ConfigError, match=told) as refused:
        Store(given)
    assert "hush" not in str(refused.value)


def test_a_server_that_is_away_is_told_without_its_password():
    with pytest.raises(StoreError, match="does not answer as it should") as refused:
        Store("postgresql://u:hush@127.0.0.1:9/base").count()
    assert "hush" not in str(refused.value)


def test_a_file_that_is_no_database_is_told(tmp_path):
    (tmp_path / "store.db").write_bytes(b"x" * 4096)
    with pytest.raises(StoreError, match="file is not a database"):
        Store(f"sqlite:///{tmp_path}/store.db").count()


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_a_connection_may_have_to_be_encrypted(postgresql, mode):
    """The tests' server has no certificate, so the client must leave."""
    postgresql.execute(f"CREATE DATABASE encrypted_{mode.replace('-', '_')}")
    address = postgresql.address(f"encrypted_{mode.replace('-', '_')}")
    with pytest.raises(StoreError, match="SSL"):
        Store(f"{address}?sslmode={mode}").count()
    assert Store(f"{address}?sslmode=disable").database.told.endswith(mode.replace("-", "_"))
