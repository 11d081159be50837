import shutil

import pytest

from bonafide.errors import BonafideError, PackageError
from bonafide.evaluation.evaluate import read_measured
from bonafide.model import package, signing
from bonafide.model.package import verify
from bonafide.registry import versions
from bonafide.registry.tracking import client
from bonafide.registry.versions import champion, champion_package, crown, get, register


@pytest.fixture
def record(made, registry, tmp_path):
    """Register the package, or one with another data digest."""

    def register_version(data_digest: str = ""):
        folder = made.package
        if data_digest:
            info = verify(folder, made.keys / "signing.pub")
            folder = tmp_path / data_digest
            files = {name: made.package / name for name in ("model.onnx", "gate.json")}
            changed = info.model_copy(update={"data_digest": data_digest})
            package.build(folder, changed, files, signing.ensure_key(made.keys).private)
        return register(folder, made.dataset, made.evaluation, made.gate, made.keys / "signing.pub")

    return register_version


def aliases() -> dict[str, str]:
    return {
        name: str(version) for name, version in client().get_registered_model("authenticity").aliases.items()
    }


def test_there_is_no_champion_before_the_first(registry, record):
    assert champion("authenticity") is None
    assert champion_package("authenticity") is None
    record()
    assert champion("authenticity") is None


def test_a_registered_package_is_the_challenger_with_its_lineage(made, record):
    version = record()
    info = verify(made.package, made.keys / "signing.pub")
    assert (version.task, version.number) == ("authenticity", "1")
    assert aliases() == {"challenger": "1"}
    assert version.tags["model_digest"] == info.model_digest
    assert version.tags["data_digest"] == info.data_digest
    assert version.tags["code_version"] == info.code_version
    assert version.tags["gate"] == "5 of 5 checks passed"
    assert version.tags["champion"] == "none"
    assert get("authenticity", "1") == version


def test_the_version_holds_the_signed_package_itself(made, record):
    version = record()
    assert verify(version.package, made.keys / "signing.pub")
    assert version.uri.endswith(f"{version.run}/artifacts/package")


def test_the_run_holds_metrics_and_reports(made, record):
    run = record().run
    accuracy = read_measured(made.evaluation).metrics.accuracy.value
    assert client().get_run(run).data.metrics["test_accuracy"] == pytest.approx(accuracy)
    reports = {file.path for file in client().list_artifacts(run, "reports")}
    names = ("dataset.json", "evaluation.json", "evaluation.html", "gate.html")
    assert reports == {f"reports/{name}" for name in names}


def test_the_same_package_is_one_version_and_other_data_another(record):
    assert record() == record()
    assert record("0" * 64).number == "2"
    assert aliases() == {"challenger": "2"}


def test_the_champion_before_stays_as_rollback(record):
    first, second = record(), record("0" * 64)
    crown(first)
    assert aliases() == {"challenger": "2", "champion": "1"}
    assert champion_package("authenticity") == ("1", first.package)
    crown(second)
    crown(second)
    assert aliases() == {"challenger": "2", "champion": "2", "rollback": "1"}
    crown(first)
    assert aliases() == {"challenger": "2", "champion": "1", "rollback": "2"}


def test_a_crowning_that_was_cut_off_is_finished_by_the_next(record, monkeypatch):
    first, second = record(), record("0" * 64)
    crown(first)
    mlflow = client()
    monkeypatch.setattr(versions, "client", lambda: mlflow)
    real = mlflow.set_registered_model_alias

    def only_rollback(task, alias, number):
        if alias == "champion":
            raise KeyboardInterrupt
        real(task, alias, number)

    monkeypatch.setattr(mlflow, "set_registered_model_alias", only_rollback)
    with pytest.raises(KeyboardInterrupt):
        crown(second)
    assert champion("authenticity").number == "1"
    monkeypatch.setattr(mlflow, "set_registered_model_alias", real)
    crown(second)
    assert aliases() == {"challenger": "2", "champion": "2", "rollback": "1"}


def test_a_package_that_was_changed_is_not_registered(made, registry, tmp_path):
    changed = shutil.copytree(made.package, tmp_path / "changed")
    (changed / "gate.json").write_text("{}")
    with pytest.raises(PackageError, match="was changed after signing"):
        register(changed, made.dataset, made.evaluation, made.gate, made.keys / "signing.pub")
    assert not client().search_registered_models()


def test_a_registration_that_was_cut_off_is_finished_by_the_next(record, monkeypatch):
    mlflow = client()
    monkeypatch.setattr(versions, "client", lambda: mlflow)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):

        def cut_off(*_):
            raise KeyboardInterrupt

        patch.setattr(mlflow, "set_registered_model_alias", cut_off)
        record()
    assert record().number == "1"
    assert aliases() == {"challenger": "1"}


@pytest.mark.parametrize("number", ["99", "latest"])
def test_a_version_that_is_not_there_is_a_readable_error(record, number):
    record()
    with pytest.raises(BonafideError, match=number):
        get("authenticity", number)


def test_chosen_is_the_champion_unless_a_number_is_given(registry, record):
    first, second = record(), record("a" * 64)
    with pytest.raises(BonafideError, match="no version of authenticity is in service"):
        versions.chosen("authenticity")
    crown(first)
    assert versions.chosen("authenticity").number == first.number
    assert versions.chosen("authenticity", second.number).number == second.number
