"""From confirmed feedback to a dataset, and to a folder."""

import hashlib
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from bonafide.data.dataset import images as images_of
from bonafide.data.dataset import read as read_columns
from bonafide.data.dataset import rows as rows_of
from bonafide.data.placement import hashed
from bonafide.errors import DataError
from bonafide.feedback.images import Images
from bonafide.feedback.prediction import Prediction
from bonafide.feedback.reviews import Reviews
from bonafide.feedback.store import Store
from bonafide.home import own_store
from bonafide.source import FeedbackSource, FolderSource
from bonafide.sources import feedback
from bonafide.sources.digests import with_digest
from bonafide.sources.ingest import ingest
from bonafide.sources.rows import ingest as ingest_rows
from bonafide.task import load_task
from tests.data.flowers import FEATURES
from tests.data.pictures import encode, picture

LABELS = ("real", "ai-generated")
SOURCE = FeedbackSource(task="authenticity")


@pytest.fixture
def reviews(tmp_path):
    """Six predictions that said ``real``; 0 and 5 are about the same image, that of 4 is not there."""
    store, place = Store(own_store()), Images(str(tmp_path / "images"))
    store.database.check()
    for number in range(6):
        content = encode(picture(number % 5))
        if number != 4:
            place.save(f"{number % 5:064x}", content)
        store.add([_prediction(number, place)])
    return Reviews(store.database)


def _prediction(number, place):
    return Prediction(
        id=f"p-{number}",
        time=datetime.now(UTC),
        task="authenticity",
        version="7",
        label="real",
        uncertain=False,
        probabilities=dict.fromkeys(LABELS, 0.5),
        sha256=f"{number % 5:064x}",
        image=place.address(f"{number % 5:064x}"),
    )


def asked(number, columns):
    """A prediction about a row; equal rows have one hash."""
    return Prediction(
        id=f"p-{number}",
        time=datetime.now(UTC),
        task="flowers",
        version="7",
        label="rose",
        uncertain=False,
        probabilities={"rose": 0.5, "tulip": 0.5},
        sha256=hashlib.sha256(repr(sorted(columns.items())).encode()).hexdigest(),
        statistics=columns,
    )


def confirm(reviews, number, label):
    return reviews.decide(reviews.file(f"p-{number}", label, "anna")[0].id, "confirmed", "berta")


def read(source=SOURCE):
    return [(image.path.rpartition("/")[2], image.label_name) for image in feedback.read_feedback(source)]


def test_confirmed_feedback_becomes_images_with_reviewer_and_time(reviews):
    decided = confirm(reviews, 1, "ai-generated").decided
    confirm(reviews, 2, "real")
    reviews.file("p-3", "real", "anna")
    first, second = feedback.read_feedback(SOURCE)
    assert first.path == f"{decided:%Y-%m-%dT%H:%M:%SZ}/anna/p-1"
    assert (first.label_name, first.source, first.group, first.given) == (
        "ai-generated",
        "feedback",
        None,
        None,
    )
    assert first.content == encode(picture(1))
    assert second.label_name == "real"


def test_the_last_word_on_an_image_counts(reviews):
    confirm(reviews, 0, "real")
    confirm(reviews, 5, "ai-generated")
    assert read() == [("p-5", "ai-generated")]


def test_a_dataset_has_them_beside_others_and_a_hash_places_them(reviews, tmp_path):
    for number in range(10, 14):
        folder = tmp_path / "own" / LABELS[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(encode(picture(number)))
    for number in (1, 2, 4):
        confirm(reviews, number, "ai-generated")
    sources = (FolderSource(path=str(tmp_path / "own")), SOURCE)
    info = ingest(sources, LABELS, tmp_path / "out", 1)
    assert info.sources == {"feedback": 2, "own": 4}
    assert [each.reason for each in info.quarantined] == ["empty"]
    rows = [row for row, _ in images_of(tmp_path / "out", "all") if row["source"] == "feedback"]
    assert [row["group"] for row in rows] == [row["sha256"] for row in rows]
    shares = {"train": 0.6, "val": 0.15, "test": 0.25}
    assert [hashed(row["group"], 42, shares) for row in rows] == [
        hashed(row["sha256"], 42, shares) for row in rows
    ]
    assert info.origins[1].kind == "feedback"


def test_a_label_may_have_another_name_in_the_task(reviews):
    confirm(reviews, 1, "ai-generated")
    assert read(FeedbackSource(task="authenticity", labels={"ai-generated": "fake"})) == [("p-1", "fake")]
    assert read(FeedbackSource(task="cats")) == []


def test_what_is_confirmed_after_a_run_was_submitted_is_for_the_next(reviews, tmp_path):
    confirm(reviews, 1, "ai-generated")
    task = with_digest(load_task("authenticity").model_copy(update={"source": SOURCE}))
    confirm(reviews, 2, "real")
    assert read(task.source) == [("p-1", "ai-generated")]
    again = with_digest(task)
    assert again.source == task.source
    fresh = with_digest(load_task("authenticity").model_copy(update={"source": SOURCE}))
    assert fresh.source.digest != task.source.digest
    same = with_digest(load_task("authenticity").model_copy(update={"source": SOURCE}))
    assert same.source.digest == fresh.source.digest


def test_what_was_taken_back_since_stops_the_run(reviews, tmp_path):
    confirm(reviews, 1, "ai-generated")
    confirm(reviews, 2, "real")
    submitted = feedback.with_digest(SOURCE, "image")
    Store(own_store()).forget(datetime.now(UTC) + timedelta(days=1), confirmed=True)
    with pytest.raises(DataError, match="feedback has changed since the run was submitted"):
        ingest((submitted,), LABELS, tmp_path / "out", 1)


def test_an_engine_reads_a_store_that_it_reaches(monkeypatch):
    assert not feedback.is_elsewhere()
    monkeypatch.setenv("BONAFIDE_STORE", "postgresql://db/store")
    assert feedback.is_elsewhere()


def test_a_folder_of_them_is_read_as_any_other(reviews, tmp_path):
    confirm(reviews, 1, "ai-generated")
    confirm(reviews, 2, "real")
    confirm(reviews, 4, "real")
    out = tmp_path / "reviewed"
    assert feedback.export(SOURCE, out) == 2
    info = ingest((FolderSource(path=str(out)),), LABELS, tmp_path / "dataset", 1)
    assert info.counts["all"] == {"real": 1, "ai-generated": 1}
    assert info.sources == {"feedback": 2}
    rows = (out / "feedback.csv").read_text().splitlines()
    assert rows[0] == "path,confirmed,reviewer,prediction"
    assert rows[1].startswith(f"ai-generated/{1:064x}.jpg,") and rows[1].endswith(",anna,p-1")


def test_confirmed_rows_become_rows_as_they_were_asked(tmp_path):
    """Without an image; a row that lacks a feature is quarantined, and the last word on equal ones counts."""
    store = Store(own_store())
    store.database.check()
    for number, height in enumerate([30.1, 41.5, 30.1, None]):
        known = {"petals": 5.0 + number % 2} | (
            {} if height is None else {"height": float(np.float32(height))}
        )
        store.add([asked(number, known)])
    reviews = Reviews(store.database)
    for number, label in enumerate(["tulip", "tulip", "rose", "rose"]):
        confirm(reviews, number, label)
    source = FeedbackSource(task="flowers")
    submitted = feedback.with_digest(source, "table")
    assert submitted.digest not in (feedback.NOTHING, feedback.with_digest(source, "image").digest)
    info = ingest_rows((submitted,), ("rose", "tulip"), tmp_path / "out", 1, FEATURES)
    assert info.counts == {"all": {"rose": 1, "tulip": 1}}
    assert info.origins[0].digest == submitted.digest
    assert [(each.reason, each.path.rpartition("/")[2]) for each in info.quarantined] == [("missing", "p-3")]
    np.testing.assert_array_equal(rows_of(tmp_path / "out", "all"), np.float32([[41.5, 6], [30.1, 5]]))
    assert read_columns(tmp_path / "out", "all", ["label_name"])["label_name"].to_pylist() == [
        "tulip",
        "rose",
    ]
