"""The monitoring pipeline by its command: a version in service, predictions, feedback, another version."""

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest
import yaml

from bonafide.delivery.current import in_service
from bonafide.feedback.images import Images
from bonafide.feedback.inspections import Inspections
from bonafide.feedback.prediction import Prediction
from bonafide.feedback.reviews import Reviews
from bonafide.feedback.store import opened
from bonafide.registry import versions
from bonafide.task import load_task
from tests.data.pictures import LABELS, encode, picture
from tests.feedback.conftest import prediction

pytestmark = pytest.mark.e2e

REVIEWED = 30
GATE = {
    "minimum_groups": 5,
    "minimum_per_label": 5,
    "accuracy": 0.5,
    "macro_f1": 0,
    "non_inferiority_margin": 1,
}


@pytest.fixture
def folder(tmp_path):
    """A task whose data are a folder of pictures, each label with a colour of its own."""
    content = load_task("authenticity").model_dump(mode="json", exclude_none=True)
    content |= {"source": {"kind": "folder", "path": "images"}, "gate": GATE}
    content["split"] = {"val": 0.2, "test": 0.3}
    content["model"] |= {"input_size": 32, "epochs": 2, "batch_size": 16}
    content["evaluation"] = {"bootstrap_samples": 100, "robustness_images": 10}
    content["validation"] |= {"shortcut_limit": 1.0}
    content["monitoring"] = {"reviews": 10, "rest_hours": 1}
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "authenticity.yaml").write_text(yaml.safe_dump(content))
    for number in range(240):
        place = tmp_path / "images" / LABELS[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.jpg").write_bytes(coloured(number))
    return tmp_path


def coloured(number: int) -> bytes:
    image = picture(number)
    shade = image.point(lambda value: value // 2)
    shade.putalpha(255)
    channel = [0, 0, 0]
    channel[number % 3] = 120
    return encode(shade.convert("RGB").point([min(255, v + c) for c in channel for v in range(256)]))


def run(folder, home, *words) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bonafide", *words],
        cwd=folder,
        env={**os.environ, "BONAFIDE_HOME": str(home), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=600,
    )


def asked(folder, home, version: str) -> None:
    """Predictions of a version that were all wrong, as people confirmed for some."""
    place = Images(str(folder / "kept"))
    with opened(f"sqlite:///{home}/store.db") as store:
        reviews = Reviews(store.database)
        for number in range(REVIEWED):
            name = f"{number:064x}"
            place.save(name, coloured(1000 + number))
            truth, said = LABELS[(1000 + number) % 3], LABELS[number % 3]
            made: Prediction = prediction(
                number,
                time=datetime.now(UTC),
                version=version,
                label=said,
                probabilities={each: 0.8 if each == said else 0.1 for each in LABELS},
                embedding=None,
                sha256=name,
                image=place.address(name),
            )
            store.add([made])
            reviews.decide(reviews.file(made.id, truth, "anna")[0].id, "confirmed", "berta")


def test_quality_that_fell_starts_a_training_with_the_feedback_once(folder, own_home, registry):
    first = run(folder, own_home, "pipeline", "run", "training")
    assert first.returncode == 0, first.stdout + first.stderr
    calm = run(folder, own_home, "pipeline", "run", "monitoring")
    assert calm.returncode == 0, calm.stdout + calm.stderr
    assert "not trained: nothing calls for it: too few predictions" in calm.stdout

    asked(folder, own_home, "1")
    trained = run(folder, own_home, "pipeline", "run", "monitoring")
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert f"trained: its accuracy on {REVIEWED} reviewed inputs is 0.000" in trained.stdout
    for step in ("fetch", "collect", "drift-check", "decide", "ingest", "train", "register", "promote"):
        assert f"✓ {step}" in trained.stdout
    assert in_service(str(own_home / "delivery"), "dev", "authenticity").version == "2"
    before, after = (versions.get("authenticity", number).tags["data_digest"] for number in "12")
    assert before != after

    again = run(folder, own_home, "pipeline", "run", "monitoring")
    assert again.returncode == 0, again.stdout + again.stderr
    with opened(f"sqlite:///{own_home}/store.db") as store:
        found = Inspections(store.database).newest("authenticity", 10)
    assert [each.retrain for each in found] == [False, True, False]
    shown = run(folder, own_home, "drift", "list").stdout
    assert "its accuracy on 30 reviewed inputs" in shown
