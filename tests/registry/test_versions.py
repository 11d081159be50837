import shutil

import pytest

from bonafide.errors import BonafideError
from bonafide.registry import versions
from bonafide.registry.tracking import client
from bonafide.registry.versions import champion, crown, get, named, placement

pytestmark = pytest.mark.usefixtures("registry")


def aliases() -> dict[str, str]:
    found = client().get_registered_model("authenticity").aliases
    return {name: str(version) for name, version in found.items()}


def test_there_is_no_champion_before_the_first(record):
    assert champion("authenticity") is None
    record()
    assert champion("authenticity") is None


def test_the_champion_before_stays_as_rollback(record):
    first, second = record(), record(data_digest="0" * 64)
    assert aliases() == {"challenger": "2"}
    crown(first)
    assert aliases() == {"challenger": "2", "champion": "1"}
    assert champion("authenticity") == first
    crown(second)
    crown(second)
    assert aliases() == {"champion": "2", "rollback": "1"}
    crown(first)
    assert aliases() == {"champion": "1", "rollback": "2"}


@pytest.mark.parametrize("cut_off", ["set_registered_model_alias", "delete_registered_model_alias"])
def test_a_crowning_that_was_cut_off_is_finished_by_the_next(record, monkeypatch, cut_off):
    first, second = record(), record(data_digest="0" * 64)
    crown(first)
    mlflow = client()
    monkeypatch.setattr(versions, "client", lambda: mlflow)
    real = getattr(mlflow, cut_off)

    def only_rollback(task, alias, *number):
        if alias != "rollback":
            raise KeyboardInterrupt
        real(task, alias, *number)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(mlflow, cut_off, only_rollback)
        crown(second)
    crown(second)
    assert aliases() == {"champion": "2", "rollback": "1"}


@pytest.mark.parametrize("number", ["99", "latest"])
def test_a_version_that_is_not_there_is_a_readable_error(record, number):
    record()
    with pytest.raises(BonafideError, match=number):
        get("authenticity", number)


def test_chosen_is_the_champion_unless_a_number_is_given(record):
    first, second = record(), record(data_digest="a" * 64)
    with pytest.raises(BonafideError, match="no version of authenticity is in service"):
        versions.chosen("authenticity")
    with pytest.raises(BonafideError, match="authenticity has no version champion"):
        named("authenticity", "champion")
    crown(first)
    assert versions.chosen("authenticity") == first
    assert named("authenticity", "champion") == first.number
    assert versions.chosen("authenticity", second.number) == second


def test_a_version_tells_where_its_images_are(made, record, tmp_path):
    dataset = shutil.copytree(made.dataset, tmp_path / "dataset")
    (dataset / "placement.parquet").unlink(missing_ok=True)
    without = record(model=b"one", dataset=dataset)
    (dataset / "placement.parquet").write_bytes(b"groups")
    placed = record(model=b"two", dataset=dataset)
    assert placement("authenticity", "", tmp_path) is None
    assert placement("authenticity", without.number, tmp_path) is None
    assert placement("authenticity", placed.number, tmp_path).read_bytes() == b"groups"
