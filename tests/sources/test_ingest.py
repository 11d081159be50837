import pytest

from bonafide.data.dataset import Origin, read, read_info
from bonafide.data.validate import validate
from bonafide.errors import DataError
from bonafide.sources import decoders
from bonafide.sources.ingest import as_seen_elsewhere, ingest, with_digest
from bonafide.sources.sample import LABELS
from bonafide.task import FolderSource, SampleSource, Validation, load_task
from tests.data.pictures import encode, picture


def test_a_folder_becomes_a_dataset(tmp_path):
    for number in range(6):
        path = tmp_path / "pets" / ("cat" if number % 2 else "dog") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(picture(number), "PNG"))
    info = ingest((FolderSource(path=str(tmp_path / "pets")),), ("cat", "dog"), tmp_path / "out", seed=3)
    assert info == read_info(tmp_path / "out")
    assert info.counts == {"all": {"cat": 3, "dog": 3}}
    assert info.seed == 3


def test_the_sample_becomes_a_dataset_with_regions_of_photographs_as_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(decoders, "STEPS", 2)
    info = ingest((SampleSource(images=45, size=32),), LABELS, tmp_path / "out", seed=3)
    assert info.counts == {"all": dict.fromkeys(LABELS, 15)}
    assert set(info.generators) <= set(decoders.FAMILIES)
    groups = read(tmp_path / "out", "all", ["group"])["group"].to_pylist()
    assert len(set(groups)) == len({group.rpartition("-")[0] for group in groups}) == 15
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_divided_folder_becomes_a_dataset_that_knows_its_split(tmp_path):
    for number in range(8):
        path = tmp_path / "cifake" / ("test" if number < 2 else "train") / ("REAL" if number % 2 else "FAKE")
        path.mkdir(parents=True, exist_ok=True)
        (path / f"{number}.png").write_bytes(encode(picture(number), "PNG"))
    (path / "notes.txt").write_text("no image")
    info = ingest((FolderSource(path=str(tmp_path / "cifake")),), ("REAL", "FAKE"), tmp_path / "out", seed=3)
    assert info.counts == {"all": {"REAL": 4, "FAKE": 4}}
    assert info.skipped == ("train/REAL/notes.txt",)
    given = read(tmp_path / "out", "all", ["given"])["given"].to_pylist()
    assert given == ["test"] * 2 + ["train"] * 6


def test_a_source_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="is no folder"):
        ingest((FolderSource(path=str(tmp_path / "none")),), LABELS, tmp_path / "out", seed=3)
    assert not (tmp_path / "out").exists()


def folder(root, name, manifest, count=4):
    """Pictures of two classes that other folders do not hold."""
    rows = ["path,group"]
    for number in range(count):
        path = root / name / ("REAL" if number % 2 else "FAKE") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(picture(number + 50 * len(name)), "PNG"))
        rows.append(f"{path.parent.name}/{path.name},{manifest}")
    (root / name / "manifest.csv").write_text("\n".join(rows))
    return FolderSource(path=str(root / name), digest="d" * len(name))


def groups(out):
    return read(out, "all", ["group"])["group"].to_pylist()


def test_several_sources_become_one_dataset_in_their_order(tmp_path):
    one, other = folder(tmp_path, "one", "trip"), folder(tmp_path, "other", "trip")
    alone = ingest((one,), ("FAKE", "REAL"), tmp_path / "alone", seed=3)
    both = ingest((one, other), ("FAKE", "REAL"), tmp_path / "both", seed=3)
    assert both.counts == {"all": {"FAKE": 4, "REAL": 4}}
    assert both.sources == {"one": 4, "other": 4}
    assert both.origins == (*alone.origins, Origin(kind="folder", name="other", digest="ddddd"))
    assert groups(tmp_path / "both") == [*groups(tmp_path / "alone"), *["2/trip"] * 4]
    shared = other.model_copy(update={"shared_groups": True})
    ingest((one, shared), ("FAKE", "REAL"), tmp_path / "shared", seed=3)
    assert set(groups(tmp_path / "shared")) == {"trip"}


def test_what_two_sources_both_hold_is_found_by_the_audit(tmp_path):
    one, other = folder(tmp_path, "one", ""), folder(tmp_path, "other", "")
    copied = tmp_path / "other" / "REAL" / "copy.png"
    copied.write_bytes((tmp_path / "one" / "REAL" / "1.png").read_bytes())
    contradicts = tmp_path / "other" / "REAL" / "contradicts.png"
    contradicts.write_bytes((tmp_path / "one" / "FAKE" / "0.png").read_bytes())
    ingest((one, other), ("FAKE", "REAL"), tmp_path / "both", seed=3)
    verdict = validate(tmp_path / "both", tmp_path / "audit", Validation(minimum_per_label=1), seed=3)
    assert [(image.path, image.reason) for image in verdict.excluded] == [
        ("FAKE/0.png", "conflicting-labels"),
        ("REAL/contradicts.png", "conflicting-labels"),
        ("REAL/copy.png", "duplicate"),
    ]


def test_a_source_that_is_not_there_is_told_before_another_is_read(tmp_path):
    one, none = folder(tmp_path, "one", ""), FolderSource(path=str(tmp_path / "none"))
    with pytest.raises(DataError, match="none is no folder"):
        ingest((one, none), ("FAKE", "REAL"), tmp_path / "out", seed=3)
    assert not (tmp_path / "out").exists()


def test_digests_follow_each_source(tmp_path):
    sample, one = SampleSource(), folder(tmp_path, "one", "").model_copy(update={"digest": ""})
    task = load_task("authenticity").model_copy(update={"source": (sample, one)})
    assert as_seen_elsewhere(task) == task
    known = with_digest(task)
    assert known.source[0] == sample
    assert known.source[1].digest
    assert with_digest(task.model_copy(update={"source": one})).source == known.source[1]
