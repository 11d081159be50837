from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from bonafide.cli.main import app
from bonafide.drift import check as module
from bonafide.drift.check import DRIFT, DRIFT_METRICS, DRIFT_REPORT, check, read_found
from bonafide.drift.environment import PYTHON
from bonafide.drift.reference import read_reference
from bonafide.drift.window import write_window
from bonafide.errors import BonafideError, DataError, PackageError
from bonafide.task import Drift
from tests.drift import world
from tests.drift.world import SKEWED, window

SETTINGS = Drift(rows=300)


@pytest.fixture
def checked(packaged, trusted, tmp_path):
    def run(seen, out="drift", package=packaged, **how):
        return check(seen, package, trusted, tmp_path / out, SETTINGS, **how)

    return run


def test_what_was_found_is_written_for_programs_people_and_prometheus(checked, random, tmp_path, detectors):
    found = checked(window(random, 400, mix=SKEWED, moved=0.8))
    assert found.judgement.kind == "looks"
    assert found == read_found(tmp_path / "drift")
    page, metrics = ((tmp_path / "drift" / name).read_text() for name in (DRIFT_REPORT, DRIFT_METRICS))
    assert page.count("data:image/svg+xml") == 5
    assert 'bonafide_drift_detected{kind="looks",task="colour"} 1.0' in metrics
    assert 'bonafide_drift_detected{kind="mix",task="colour"} 0.0' in metrics
    assert "bonafide_requests" not in metrics


@pytest.mark.parametrize("count", [0, 1, 199])
def test_too_few_are_never_drift(checked, random, tmp_path, monkeypatch, count):
    """Nor does one picture that is asked about a thousand times make enough. No detector is started."""
    monkeypatch.setenv(PYTHON, str(tmp_path / "none"))
    seen = window(random, count, moved=9)
    found = checked(seen.of(np.array([*range(count), *[0] * 1000])) if count else seen)
    assert (found.judgement.kind, found.compared) == ("too-few", count)
    assert "200" in (tmp_path / "drift" / DRIFT_REPORT).read_text()
    assert 'kind="looks",task="colour"} 0.0' in (tmp_path / "drift" / DRIFT_METRICS).read_text()


def test_predictions_of_several_versions_are_not_mixed_up(checked, random):
    seen = window(random, 100)
    both = replace(seen, versions=np.where(np.arange(100) < 60, "3", "4"))
    with pytest.raises(DataError, match="versions 3, 4, whose embeddings"):
        checked(both)
    found = checked(both, version="4")
    assert (found.version, found.compared) == ("4", 40)
    assert "60 predictions of other versions than 4 were left out." in found.judgement.notes


def rollout(random):
    """60 predictions of version 3, and then 240 of version 4, which has one label more."""
    seen, fourth = window(random, 300), np.arange(300) >= 60
    more = np.where(fourth, 0.0, np.nan).astype(np.float32)[:, None]
    return replace(
        seen,
        names=(*seen.names, "violet"),
        probabilities=np.concatenate([seen.probabilities, more], axis=1),
        versions=np.where(fourth, "4", "3"),
    )


def test_of_a_large_window_the_same_part_is_drawn(checked, packaged, trusted, random, monkeypatch):
    monkeypatch.setattr(module, "MOST", 150)
    seen = window(random, 500)
    found = checked(seen)
    assert (found.predictions, found.compared) == (500, 150)
    assert "Of 500 predictions, 150 were drawn to be compared." in found.judgement.notes
    reference = read_reference(packaged, trusted)
    drawn = [module._chosen(seen, reference, "", "", 200)[0] for _ in range(2)]
    assert drawn[0].ids.tolist() == drawn[1].ids.tolist() != seen.ids[:150].tolist()
    assert (np.diff(drawn[0].times) > 0).all()


def test_labels_that_another_version_has_are_no_matter(checked, random):
    seen = rollout(random)
    assert checked(seen, version="3").compared == 60
    with pytest.raises(DataError, match="labels red, green, blue, violet, the reference red, green, blue"):
        checked(seen, version="4")
    assert checked(seen, "none", version="5").compared == 0


def test_few_predictions_are_too_few_whatever_they_hold(checked, random):
    seen = window(random, 5)
    probabilities = np.where(np.arange(5)[:, None] == 0, np.nan, seen.probabilities).astype(np.float32)
    found = checked(replace(seen, probabilities=probabilities))
    assert (found.judgement.kind, found.compared) == ("too-few", 4)
    assert "1 predictions without sound numbers were left out." in found.judgement.notes


def test_that_only_other_versions_have_embeddings_is_told(checked, random):
    """As where theirs are of another size, and most."""
    seen = rollout(random)
    embedded = seen.versions == "4"
    with pytest.raises(DataError, match="give a window of version 3 alone"):
        checked(replace(seen, embedded=embedded, embeddings=seen.embeddings[embedded]), version="3")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda seen: replace(seen, names=("red", "green", "violet")), "labels red, green, violet"),
        (
            lambda seen: replace(seen, embeddings=seen.embeddings[:, :4]),
            "have 4 columns, those of the reference 6",
        ),
        (
            lambda seen: replace(seen, probabilities=seen.probabilities * np.nan),
            "250 of 250 predictions hold what is no number",
        ),
        (
            lambda seen: replace(seen, embeddings=seen.embeddings / 0),
            "250 of 250 predictions hold what is no",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_window_of_another_model_or_a_broken_one_is_refused(checked, random, change, words):
    with pytest.raises(DataError, match=words):
        checked(change(window(random, 250)))


@pytest.mark.parametrize("array", ["probabilities", "embeddings"])
def test_a_bad_prediction_is_left_out_and_told(checked, random, array):
    seen = window(random, 150)
    values = getattr(seen, array).copy()
    values[7, 0] = np.nan
    found = checked(replace(seen, **{array: values}))
    assert found.compared == 149
    assert "1 predictions without sound numbers were left out." in found.judgement.notes


def test_a_prediction_of_a_label_that_the_model_does_not_know_is_left_out(checked, random):
    seen = window(random, 150)
    foreign = np.full((150, 1), np.nan, np.float32)
    foreign[3] = 0.5
    found = checked(
        replace(seen, names=(*seen.names, "z"), probabilities=np.hstack([seen.probabilities, foreign]))
    )
    assert found.compared == 149


@pytest.mark.e2e
def test_labels_may_stand_in_another_order(checked, random, tmp_path, detectors):
    seen = window(random, 300)
    turned = replace(seen, names=seen.names[::-1], probabilities=seen.probabilities[:, ::-1])
    assert checked(turned) == checked(seen, "other")


def test_the_reference_must_be_of_the_task(checked, random):
    with pytest.raises(DataError, match="of task colour, not of authenticity"):
        checked(window(random, 250), task="authenticity")


def test_predictions_without_embeddings_are_left_out(checked, random):
    seen = window(random, 150)
    embedded = np.arange(150) % 3 > 0
    found = checked(replace(seen, embedded=embedded, embeddings=seen.embeddings[embedded]))
    assert found.compared == 100
    assert "50 predictions without an embedding were left out." in found.judgement.notes


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda arrays: None, "has no reference.npz; export the model again"),
        (lambda arrays: arrays.pop("label"), "lacks label"),
        (lambda arrays: arrays.update(label=np.zeros(500, np.int64)), "fewer than 2 inputs of green, blue"),
        (
            lambda arrays: arrays.update(embedding=arrays["embedding"] * np.inf),
            "embedding holds what is no number",
        ),
    ],
)
def test_a_reference_that_is_of_no_use_is_told(checked, random, tmp_path, change, words):
    arrays = world.reference(random)
    package = world.make(tmp_path, None if change(arrays) is None and "no ref" in words else arrays)
    with pytest.raises(DataError, match=words):
        check(window(random, 250), package, tmp_path / "keys", tmp_path / "drift", SETTINGS)


def test_a_package_that_was_changed_is_refused(random, tmp_path):
    package = world.make(tmp_path, world.reference(random))
    with (package / "reference.npz").open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(PackageError, match="changed after signing"):
        check(window(random, 250), package, tmp_path / "keys", tmp_path / "drift", SETTINGS)


def test_nothing_is_written_where_the_detectors_fail(checked, random, tmp_path, monkeypatch):
    monkeypatch.setenv(PYTHON, str(tmp_path / "none"))
    with pytest.raises(BonafideError, match="make setup-drift"):
        checked(window(random, 250))
    assert not (tmp_path / "drift").exists()


@pytest.mark.e2e
def test_the_command_says_the_same_and_ends_with_1_if_looks_changed(
    checked, packaged, trusted, random, tmp_path, monkeypatch, detectors
):
    monkeypatch.setenv("BONAFIDE_PUBLIC_KEY", str(trusted / "signing.pub"))
    (tmp_path / "colour.yaml").write_text(
        "name: colour\ntitle: Colours\nlabels: [red, green, blue]\ndrift: {rows: 300}\n"
    )
    seen = window(random, 300, moved=0.8)
    write_window(tmp_path / "seen.npz", seen)
    options = {"input": "seen.npz", "task": "colour.yaml", "out": "told"}
    arguments = [f"--{name}={tmp_path / path}" for name, path in options.items()]
    result = CliRunner().invoke(app, ["drift", "check", *arguments, f"--reference={packaged}"])
    assert result.exit_code == 1, result.output
    assert "DRIFT  ks" in result.output
    assert "looks different: 300 distinct inputs compared" in result.output
    checked(seen)
    for name in (DRIFT, DRIFT_REPORT):
        assert (tmp_path / "told" / name).read_bytes() == (tmp_path / "drift" / name).read_bytes()
