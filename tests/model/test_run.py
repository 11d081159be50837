import pytest

from bonafide.errors import DataError
from bonafide.registry import tracking


def state(run) -> str:
    return tracking.client().get_run(run.id).info.status


def test_a_run_ends_as_what_is_within_does(registry):
    with tracking.begin("pets", {"epochs": 1}) as run:
        assert state(run) == "RUNNING"
        run.finish({"val_accuracy": 0.5})
    assert state(run) == "FINISHED"
    with pytest.raises(DataError), tracking.begin("pets", {}) as run:
        raise DataError("no weights")
    assert state(run) == "FAILED"


def test_what_failed_is_told_and_not_that_the_registry_is_away(registry, monkeypatch):
    with pytest.raises(DataError), tracking.begin("pets", {}) as run:
        monkeypatch.setattr(type(run), "_client", lambda _: 1 / 0)
        raise DataError("no weights")
