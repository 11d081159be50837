import io
import shutil

import numpy as np
import pytest

from bonafide.errors import PackageError
from bonafide.evaluation.export import CARD, REFERENCE, export
from bonafide.evaluation.gate import VERDICT, gate
from bonafide.evaluation.measured import read_measured, read_predictions
from bonafide.model.checkpoint import load, read_info
from bonafide.model.inference import classify
from bonafide.model.package import verify
from bonafide.model.runtime import OUTPUTS, OnnxModel
from bonafide.task import Gate


def export_again(made, out, **folders):
    run = made._replace(**folders)
    return export(
        run.checkpoint, run.dataset, run.evaluation, run.comparison, run.gate, out, run.task, run.keys
    )


def test_the_package_is_complete_signed_and_describes_the_model(made):
    info = verify(made.package, made.keys / "signing.pub")
    training = read_info(made.checkpoint)
    names = {path.name for path in made.package.iterdir()}
    assert names >= {"model.onnx", "package.json", CARD, VERDICT, REFERENCE, "SHA256SUMS", "signature"}
    assert not any(name.endswith((".pt", ".pkl", ".ckpt", ".safetensors")) for name in names)
    assert (info.task, info.labels, info.input_size) == ("authenticity", training.labels, 32)
    assert (info.temperature, info.thresholds) == (training.temperature, training.thresholds)
    assert info.data_digest == training.data_digest
    assert info.metrics == read_measured(made.evaluation).metrics.model_dump(mode="json")


def test_the_packaged_model_answers_as_the_evaluated_one(made):
    model = OnnxModel(made.package, verify(made.package, made.keys / "signing.pub"))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    answers = model.run(pixels, OUTPUTS)
    assert answers["probabilities"] == pytest.approx(classify(load(made.checkpoint), pixels), abs=1e-4)
    assert answers["heatmap"].shape[1:] == model.info.heatmap_size
    assert answers["embedding"].shape[1] == model.info.embedding_size


def test_the_reference_of_drift_is_plain_arrays_of_the_test_images(made):
    with np.load(io.BytesIO((made.package / REFERENCE).read_bytes()), allow_pickle=False) as reference:
        predictions = read_predictions(made.evaluation)
        assert np.array_equal(reference["embedding"], predictions.embedding)
        assert np.array_equal(reference["probabilities"], predictions.probabilities)


def test_verdict_and_card_travel_with_the_model(made):
    assert (made.package / VERDICT).read_bytes() == (made.gate / VERDICT).read_bytes()
    card = (made.package / CARD).read_text()
    assert f"{read_measured(made.evaluation).metrics.accuracy.value:.3f}" in card
    assert "mesh" in card, "the unseen generator is told"


def test_the_same_model_has_the_same_digest(made, tmp_path):
    again = export_again(made, tmp_path / "package")
    assert again.model_digest == verify(made.package, made.keys / "signing.pub").model_digest


def test_what_the_gate_refused_is_not_exported(made, tmp_path):
    gate(made.evaluation, made.comparison, tmp_path / "gate", Gate(accuracy=1.0))
    with pytest.raises(PackageError, match=r"gate\.json refuses this model"):
        export_again(made, tmp_path / "package", gate=tmp_path / "gate")
    assert not (tmp_path / "package").exists()


@pytest.fixture
def other_evaluation(made, tmp_path):
    """Predictions that the checkpoint would not give."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = shutil.copytree(made.evaluation, tmp_path / "evaluation")
    table = pq.read_table(folder / "predictions.parquet")
    column = table.column_names.index("probabilities")
    turned = [row[1:] + row[:1] for row in table["probabilities"].to_pylist()]
    changed = table.set_column(column, "probabilities", pa.array(turned, pa.list_(pa.float32())))
    pq.write_table(changed, folder / "predictions.parquet")
    return folder


def test_a_graph_that_answers_otherwise_leaves_no_signed_package(made, tmp_path, other_evaluation):
    with pytest.raises(PackageError, match="differs from the trained model"):
        export_again(made, tmp_path / "package", evaluation=other_evaluation)
    assert not (tmp_path / "package").exists()
