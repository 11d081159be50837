"""What a server has: several versions, one default, nothing lost while they change."""

import asyncio
import threading
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonafide.serving.errors import RequestError
from bonafide.serving.models.versions import KEEP, Absent, Models
from bonafide.telemetry.metrics import MODEL_INFO
from tests import packages


def predictor(version: str, name: str = "colour", ready: bool = True):
    """What :class:`Models` reads of a predictor."""
    info = packages.info(task=name).model_copy(update={"model_digest": f"digest of {version}"})
    return SimpleNamespace(name=name, version=version, info=info, ready=ready)


@pytest.fixture
def models():
    made = Models()
    yield made
    for name in made.names:
        made.remove(name)


def loaded(name: str) -> set[str]:
    """The versions that the metrics tell."""
    (family,) = MODEL_INFO.collect()
    samples = [sample for sample in family.samples if sample.labels["model"] == name and sample.value == 1]
    return {sample.labels["version"] for sample in samples}


def test_the_last_one_added_is_the_default_and_the_one_before_stays(models):
    first, second, third = (predictor(version) for version in "123")
    models.add(first)
    assert models.find("colour") is first
    models.add(second)
    assert models.find("colour") is second
    assert models.find("colour", "1") is first
    models.add(third)
    assert models.versions("colour") == ("3", "2")
    assert models.find("colour", "1") is None
    assert models.find("colour", "0") is None
    assert models.names == ("colour",)


def test_models_of_other_names_are_left(models):
    models.add(predictor("1"))
    models.add(predictor("7", name="shape"))
    assert models.versions("colour") == ("1",)
    assert models.versions("shape") == ("7",)
    assert models.versions("none") == ()
    assert models.find("none") is None


def test_a_version_replaces_its_namesake(models):
    models.add(predictor("1"))
    second = predictor("1")
    models.add(second)
    assert models.versions("colour") == ("1",)
    assert models.find("colour") is second


@given(st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=4), max_size=8))
def test_the_metrics_tell_what_is_loaded(steps):
    models = Models()
    expected: list[str] = []
    for step in steps:
        models.add(*(predictor(version, name="told") for version in step))
        expected = list(dict.fromkeys(step + expected))[:KEEP]
        assert models.versions("told") == tuple(expected)
        assert loaded("told") == set(expected)
    models.remove("told")
    assert loaded("told") == set()


def test_a_model_that_was_taken_out_is_not_ready(models):
    assert not models.ready
    models.add(predictor("1"))
    assert models.ready
    models.remove("colour")
    assert not models.ready
    assert models.find("colour") is None
    assert models.names == ()
    models.add(predictor("2", ready=False))
    assert not models.ready


def test_the_index_tells_states_and_reasons(models):
    models.add(predictor("1"))
    models.add(predictor("2", ready=False))
    models.report("colour", {"3": Absent("UNAVAILABLE", "no signature"), "4": Absent("LOADING", "")})
    entries = [tuple(entry.values()) for entry in models.index(ready_only=False)]
    assert entries == [
        ("colour", "2", "UNAVAILABLE", ""),
        ("colour", "1", "READY", ""),
        ("colour", "3", "UNAVAILABLE", "no signature"),
        ("colour", "4", "LOADING", ""),
    ]
    assert [entry["version"] for entry in models.index(ready_only=True)] == ["1"]
    models.report("colour", {})
    assert len(models.index(ready_only=False)) == 2


def refused(call, *arguments) -> int:
    with pytest.raises(RequestError) as caught:
        asyncio.run(call(*arguments))
    return caught.value.status


def test_clients_load_and_unload_nothing_unless_they_may(models):
    models.add(predictor("1"))
    assert refused(models.load, "colour") == 403
    assert refused(models.unload, "colour") == 403
    assert models.versions("colour") == ("1",)


def test_what_clients_load_and_unload_must_be_known(models):
    asked = []

    class Control:
        async def load(self, name):
            asked.append(("load", name))

        async def unload(self, name):
            asked.append(("unload", name))
            models.remove(name)

    models.control = Control()
    models.add(predictor("1"))
    assert refused(models.load, "shape") == 404
    assert refused(models.unload, "shape") == 404
    asyncio.run(models.unload("colour"))
    asyncio.run(models.load("colour"))
    assert asked == [("unload", "colour"), ("load", "colour")]


def test_a_reader_finds_a_model_at_every_moment(models):
    models.add(predictor("0"))
    stopped, misses = threading.Event(), []

    def read():
        while not stopped.is_set():
            found = models.find("colour")
            if found is None or not models.names or not models.versions("colour"):
                misses.append(found)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for version in range(2000):
        models.add(predictor(str(version)))
    stopped.set()
    for reader in readers:
        reader.join()
    assert not misses
