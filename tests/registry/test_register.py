"""A version is a model, its data, a key and a judgement; its package is never written again."""

import shutil
from contextlib import ExitStack

import pytest

from bonafide import __version__
from bonafide.errors import DataError, DeliveryError, PackageError
from bonafide.evaluation.evaluate import read_measured
from bonafide.evaluation.gate import read_verdict
from bonafide.files import folder_digest, sha256
from bonafide.model import package, signing
from bonafide.model.package import verify
from bonafide.model.signing import ensure_key
from bonafide.registry import packages, register
from bonafide.registry.packages import fetch
from bonafide.registry.tracking import client, experiment
from bonafide.registry.versions import champion, crown, get
from tests.mlflow_server import running
from tests.registered import told

pytestmark = pytest.mark.usefixtures("registry")


def aliases() -> dict[str, str]:
    found = client().get_registered_model("authenticity").aliases
    return {name: str(version) for name, version in found.items()}


def new_run() -> str:
    return client().create_run(experiment("authenticity")).info.run_id


def test_a_registered_package_is_the_challenger_with_its_lineage(made, record):
    version = record(made.package)
    info = verify(made.package, made.keys / "signing.pub")
    assert (version.task, version.number) == ("authenticity", "1")
    assert aliases() == {"challenger": "1"}
    assert version.tags == {
        "model_digest": info.model_digest,
        "data_digest": info.data_digest,
        "package_digest": folder_digest(made.package),
        "key": sha256(made.keys / "signing.pub"),
        "code_version": info.code_version,
        "gate": "6 of 6 checks passed",
        "champion": "none",
    }
    assert info.code_version.startswith(f"{__version__}+")
    assert get("authenticity", "1") == version


def test_a_package_goes_where_packages_lie_by_now(made, record, monkeypatch):
    """A model that is registered, but lies where no cluster can fetch it, can be moved."""
    before = record(made.package)
    monkeypatch.setenv("BONAFIDE_PACKAGES", "oci://registry.example.org/team")
    monkeypatch.setattr(packages, "put", lambda _, uri: f"{uri}@sha256:{'0' * 64}")
    moved = record(made.package)
    assert moved.number != before.number
    assert moved.uri.startswith("oci://registry.example.org/team/authenticity@sha256:")
    assert record(made.package) == moved
    monkeypatch.setenv("BONAFIDE_PACKAGES", "oci://registry.example.org/te")
    assert record(made.package).uri.startswith("oci://registry.example.org/te/authenticity@")


def test_the_version_holds_the_signed_package_itself(made, record):
    version = record(made.package)
    assert folder_digest(fetch(version)) == folder_digest(made.package)
    assert version.uri.endswith(f"/packages/{folder_digest(made.package)}")


def test_two_models_of_one_run_have_a_place_each(record):
    run = new_run()
    first = record(model=b"one", run_id=run)
    before = folder_digest(fetch(first))
    second = record(model=b"two", run_id=run)
    assert (first.number, second.number) == ("1", "2")
    assert first.run == second.run == run
    assert first.uri != second.uri
    assert (fetch(first) / "model.onnx").read_bytes() == b"one"
    assert folder_digest(fetch(first)) == before
    assert (fetch(second) / "model.onnx").read_bytes() == b"two"


def test_the_reports_of_two_versions_of_one_run_do_not_replace_each_other(made, record):
    run = new_run()
    first, second = record(model=b"one", run_id=run), record(model=b"two", run_id=run)
    accuracy = read_measured(made.evaluation).metrics.accuracy.value
    assert client().get_run(run).data.metrics["test_accuracy"] == pytest.approx(accuracy)
    names = ("dataset.json", "evaluation.json", "evaluation.html", "gate.html")
    for version in (first, second):
        reports = {file.path for file in client().list_artifacts(run, version.reports)}
        assert {f"{version.reports}/{name}" for name in names} <= reports
    assert first.reports != second.reports


def test_the_same_model_is_one_version_and_other_data_another(record):
    run = new_run()
    assert record(run_id=run) == record(run_id=run, created="later")
    assert record(run_id=run, data_digest="0" * 64).number == "2"
    assert aliases() == {"challenger": "2"}


def test_after_a_key_rotation_there_is_a_version_that_the_new_key_verifies(record, tmp_path):
    old, keys = record(), ensure_key(tmp_path / "new-keys")
    rotated = record(keys=keys.public.parent)
    assert rotated.number != old.number
    assert verify(fetch(rotated), keys.public)
    assert record(keys=keys.public.parent) == rotated


def test_judged_against_another_champion_it_is_another_version(record):
    first, second = record(model=b"one"), record(model=b"two")
    crown(first)
    judged_again = record(model=b"two", champion="1")
    assert (second.number, judged_again.number) == ("2", "3")
    assert judged_again.tags["champion"] == "1"
    assert record(model=b"two", champion="1") == judged_again


def test_the_champion_itself_is_no_challenger_of_itself(record):
    first = record(model=b"one")
    crown(first)
    assert record(model=b"one", champion="1") == first
    assert aliases() == {"champion": "1"}


@pytest.mark.parametrize("run_id", ["0" * 32, "no run id at all", None])
def test_a_package_that_was_made_elsewhere_gets_a_run_of_its_own(build, record, run_id):
    folder = build(run_id=run_id)
    version = record(folder)
    run = client().get_run(version.run)
    assert run.data.tags["original_run"] == (run_id or "none")
    assert run.info.status == "FINISHED"
    assert folder_digest(fetch(version)) == folder_digest(folder)


def test_a_deleted_run_is_none(record):
    run = new_run()
    client().delete_run(run)
    assert record(run_id=run).run != run


def test_a_package_that_was_changed_is_not_registered(made, record, tmp_path):
    changed = shutil.copytree(made.package, tmp_path / "changed")
    (changed / "gate.json").write_text("{}")
    with pytest.raises(PackageError, match="was changed after signing"):
        record(changed)
    assert not client().search_registered_models()


def test_other_bytes_at_the_package_s_address_are_an_error(build, record):
    folder = build(run_id=new_run())
    uri = record(folder).uri
    client().delete_registered_model("authenticity")
    (packages.local(uri) / "model.onnx").write_bytes(b"another")
    with pytest.raises(DeliveryError, match=r"holds other bytes"):
        record(folder)
    assert not client().search_registered_models()


@pytest.mark.parametrize(
    "step", ["put", "_log_reports", "create_model_version", "set_registered_model_alias"]
)
def test_a_registration_that_was_cut_off_is_finished_by_the_next(build, record, monkeypatch, step):
    mlflow, folder = client(), build()
    monkeypatch.setattr(register, "client", lambda: mlflow)

    def cut_off(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        owner = {"put": packages, "_log_reports": register}.get(step, mlflow)
        patch.setattr(owner, step, cut_off)
        record(folder)
    version = record(folder)
    assert version.number == "1"
    assert aliases() == {"challenger": "1"}
    assert folder_digest(fetch(version)) == folder_digest(folder)
    assert len(client().search_runs([experiment("authenticity")])) == 1


@pytest.mark.e2e
def test_a_server_that_goes_down_is_told_and_the_next_registration_doubles_nothing(
    build, record, empty_registry, tmp_path, monkeypatch
):
    folder = build()
    store = ("--no-serve-artifacts", "--default-artifact-root", (tmp_path / "store").as_uri())
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with ExitStack() as server, monkeypatch.context() as patch:
        address = server.enter_context(running(empty_registry, first, *store))
        patch.setenv("MLFLOW_TRACKING_URI", address)
        patch.setattr(register, "_log_reports", lambda *_: server.close())
        with pytest.raises(DeliveryError, match=f"the registry at {address} does not answer as it should"):
            record(folder)
    with running(first / "mlflow.db", second, *store) as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        assert not client().search_registered_models()
        version = record(folder)
        assert version.number == record(folder).number == "1"
        assert folder_digest(fetch(version)) == folder_digest(folder)
        assert len(client().search_runs([experiment("authenticity")])) == 1


def test_what_the_gate_did_not_let_out_is_not_registered(made, build, registry, tmp_path):
    """The verdict in the signed package counts, whatever lies beside it."""
    verdict = read_verdict(made.gate).model_copy(update={"promote": False})
    info = verify(made.package, made.keys / "signing.pub")
    files = {"model.onnx": made.package / "model.onnx", "gate.json": verdict.model_dump_json().encode()}
    package.build(tmp_path / "refused", info, files, signing.ensure_key(made.keys).private)
    with pytest.raises(PackageError, match="the gate refused model"):
        register.register(
            tmp_path / "refused", made.dataset, made.evaluation, made.gate, made.keys / "signing.pub"
        )
    assert champion("authenticity") is None


@pytest.mark.parametrize("field", ["model_digest", "data_digest"])
def test_an_evaluation_of_another_model_is_refused(made, registry, tmp_path, field):
    other = told(made.evaluation, "evaluation.json", tmp_path / "other", **{field: "0" * 64})
    with pytest.raises(PackageError, match="is not the evaluation"):
        register.register(made.package, made.dataset, other, made.gate, made.keys / "signing.pub")


def test_another_dataset_is_refused(made, registry, tmp_path):
    """Its placement would be what the next run inherits."""
    other = told(made.dataset, "dataset.json", tmp_path / "other", digest="0" * 64)
    with pytest.raises(DataError, match="is not the dataset"):
        register.register(made.package, other, made.evaluation, made.gate, made.keys / "signing.pub")
