import io
import json
import shutil

import numpy as np
import pytest

from bonafide.data import dataset as datasets
from bonafide.errors import PackageError
from bonafide.evaluation.evaluate import read_measured
from bonafide.evaluation.export import CARD, REFERENCE, export
from bonafide.evaluation.gate import VERDICT, gate
from bonafide.model.answers import answer
from bonafide.model.checkpoint import INFO, read_info
from bonafide.model.info import MODEL, Pretrained
from bonafide.model.package import verify
from bonafide.model.runtime import OnnxModel
from bonafide.model.signing import ensure_key
from bonafide.task import Gate
from tests.conftest import UNSEEN


def export_again(made, out, **folders):
    run = made._replace(**folders)
    return export(
        run.checkpoint,
        run.dataset,
        run.evaluation,
        run.comparison,
        run.gate,
        out,
        run.task,
        ensure_key(run.keys).private,
    )


def test_the_package_is_complete_signed_and_describes_the_model(made):
    info = verify(made.package, made.keys / "signing.pub")
    training = read_info(made.checkpoint)
    names = {path.name for path in made.package.iterdir()}
    assert names >= {"model.onnx", "package.json", CARD, VERDICT, REFERENCE, "SHA256SUMS", "signature"}
    assert not any(name.endswith((".pt", ".pkl", ".ckpt", ".safetensors")) for name in names)
    assert (info.task, info.labels, info.image.size) == ("authenticity", training.labels, 32)
    assert (info.temperature, info.decision) == (training.temperature, training.decision)
    assert info.data_digest == training.data_digest
    assert info.metrics == read_measured(made.evaluation).metrics.model_dump(mode="json")


def test_the_packaged_graph_is_the_evaluated_one(made):
    info = verify(made.package, made.keys / "signing.pub")
    assert (made.package / MODEL).read_bytes() == (made.checkpoint / MODEL).read_bytes()
    assert info.model_digest == read_measured(made.evaluation).model_digest


def test_the_reference_of_drift_is_the_graphs_answers_for_the_validation_images(made):
    """The class mix and the generators that the model knows: nothing of the held-out generator."""
    model = OnnxModel(made.package, verify(made.package, made.keys / "signing.pub"), threads=1)
    expected = answer(model, made.dataset, "val", ("embedding", "probabilities"))
    rows = datasets.read(made.dataset, "val", ["label", "generator", "group"])
    assert UNSEEN not in rows["generator"].to_pylist()
    with np.load(io.BytesIO((made.package / REFERENCE).read_bytes()), allow_pickle=False) as reference:
        statistics = {f"statistics.{name}" for name in ("width", "height", "brightness", "jpeg_quality")}
        assert set(reference) == {"embedding", "probabilities", "label", "group", *statistics}
        assert np.array_equal(reference["label"], rows["label"].to_numpy())
        assert len(set(reference["group"])) == len(set(rows["group"].to_pylist()))
        assert set(reference["statistics.jpeg_quality"]) == {95}
        for name, values in expected.items():
            assert np.array_equal(reference[name], values)


def test_of_very_many_images_some_are_the_reference(made, tmp_path, monkeypatch):
    monkeypatch.setattr("bonafide.evaluation.export.REFERENCE_ROWS", 10)
    export_again(made, tmp_path / "package")
    with np.load(made.package / REFERENCE) as every, np.load(tmp_path / "package" / REFERENCE) as some:
        kept = [row.tobytes() for row in some["embedding"]]
        assert len(set(kept)) == 10
        assert all(len(some[name]) == 10 for name in some)
        order = [row.tobytes() for row in every["embedding"]]
        assert [order.index(row) for row in kept] == sorted(order.index(row) for row in kept)


def test_verdict_and_card_travel_with_the_model(made):
    assert (made.package / VERDICT).read_bytes() == (made.gate / VERDICT).read_bytes()
    card = (made.package / CARD).read_text()
    assert f"{read_measured(made.evaluation).metrics.accuracy.value:.3f}" in card
    assert "mesh" in card, "the unseen generator is told"


def test_what_training_began_from_travels_too(made, tmp_path):
    checkpoint = shutil.copytree(made.checkpoint, tmp_path / "checkpoint")
    began = {"source": "begin.pth", "digest": "e" * 64, "licence": "MIT"}
    content = json.loads((checkpoint / INFO).read_text()) | {"pretrained": began}
    (checkpoint / INFO).write_text(json.dumps(content))
    export_again(made, tmp_path / "package", checkpoint=checkpoint)
    assert verify(tmp_path / "package", made.keys / "signing.pub").pretrained == Pretrained(**began)
    assert (
        "Training began from the weights of begin.pth: licence MIT"
        in (tmp_path / "package" / CARD).read_text()
    )


def test_the_same_model_has_the_same_digest(made, tmp_path):
    again = export_again(made, tmp_path / "package")
    assert again.model_digest == verify(made.package, made.keys / "signing.pub").model_digest


def test_what_the_gate_refused_is_not_exported(made, tmp_path):
    gate(made.evaluation, made.comparison, tmp_path / "gate", Gate(accuracy=1.0))
    with pytest.raises(PackageError, match=r"gate\.json refuses this model"):
        export_again(made, tmp_path / "package", gate=tmp_path / "gate")
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize("digest", ["model_digest", "data_digest"])
@pytest.mark.parametrize(
    ("folder", "file"),
    [("gate", "gate.json"), ("evaluation", "evaluation.json"), ("comparison", "comparison.json")],
)
def test_what_was_said_of_another_model_or_other_data_is_not_exported(made, tmp_path, folder, file, digest):
    other = shutil.copytree(getattr(made, folder), tmp_path / folder)
    content = json.loads((other / file).read_text()) | {digest: "0" * 64}
    (other / file).write_text(json.dumps(content))
    with pytest.raises(PackageError, match="did not judge"):
        export_again(made, tmp_path / "package", **{folder: other})
    assert not (tmp_path / "package").exists()
