import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bonafide.data.dataset import Origin, read, read_info
from bonafide.data.validate import validate
from bonafide.errors import DataError
from bonafide.source import FolderSource, ParquetSource, SampleSource
from bonafide.sources import decoders, tree
from bonafide.sources.digests import as_seen_elsewhere, with_digest
from bonafide.sources.ingest import ingest
from bonafide.sources.sample import LABELS
from bonafide.task import Validation, load_task
from tests.buckets import gs, s3, scheme
from tests.data.pictures import encode, picture

__all__ = ["gs", "s3", "scheme"]


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
    return FolderSource(path=str(root / name))


def known(source):
    return with_digest(load_task("authenticity").model_copy(update={"source": source})).source


def groups(out):
    return read(out, "all", ["group"])["group"].to_pylist()


def test_several_sources_become_one_dataset_in_their_order(tmp_path):
    one, other = known(folder(tmp_path, "one", "trip")), known(folder(tmp_path, "other", "trip"))
    alone = ingest((one,), ("FAKE", "REAL"), tmp_path / "alone", seed=3)
    both = ingest((one, other), ("FAKE", "REAL"), tmp_path / "both", seed=3)
    assert both.counts == {"all": {"FAKE": 4, "REAL": 4}}
    assert both.sources == {"one": 4, "other": 4}
    assert both.origins == (*alone.origins, Origin(kind="folder", name="other", digest=other.digest))
    assert groups(tmp_path / "both") == [*groups(tmp_path / "alone"), *["2/trip"] * 4]


def test_sources_share_their_groups_by_one_word(tmp_path):
    """Whichever of them come first, and the word renames nothing in the first of them."""
    one, other, third = (folder(tmp_path, name, "trip") for name in ("one", "other", "another"))
    for number, (shared, expected) in enumerate(
        [
            ((), ["trip", "2/trip", "3/trip"]),
            ((one, other), ["trip", "trip", "3/trip"]),
            ((other, third), ["trip", "2/trip", "2/trip"]),
            ((one, third), ["trip", "2/trip", "trip"]),
        ]
    ):
        sources = tuple(
            source.model_copy(update={"namespace": "trips" if source in shared else ""})
            for source in (one, other, third)
        )
        ingest(sources, ("FAKE", "REAL"), tmp_path / f"{number}", seed=3)
        assert list(dict.fromkeys(groups(tmp_path / f"{number}"))) == list(dict.fromkeys(expected))


def test_a_group_that_looks_numbered_meets_none_of_another_source(tmp_path):
    one, other = folder(tmp_path, "one", "2/trip"), folder(tmp_path, "other", "trip")
    ingest((one,), ("FAKE", "REAL"), tmp_path / "alone", seed=3)
    ingest((one, other), ("FAKE", "REAL"), tmp_path / "both", seed=3)
    assert groups(tmp_path / "both") == [*groups(tmp_path / "alone"), *["2/trip"] * 4]
    assert set(groups(tmp_path / "alone")) == {"1/2/trip"}


@pytest.mark.parametrize("kind", ["folder", "parquet"])
def test_a_source_that_changed_after_its_digest_is_refused(tmp_path, kind):
    source = folder(tmp_path, "one", "")
    changed = tmp_path / "one" / "REAL" / "1.png"
    if kind == "parquet":
        changed = tmp_path / "one.parquet"
        images = [encode(picture(number), "PNG") for number in range(4)]
        pq.write_table(pa.table({"image": images, "label": ["REAL", "FAKE"] * 2}), changed)
        source = ParquetSource(path=str(changed))
    seen = known(source)
    ingest((seen,), ("FAKE", "REAL"), tmp_path / "before", seed=3)
    content = changed.read_bytes()
    changed.unlink()
    changed.write_bytes(content if kind == "parquet" else encode(picture(9), "PNG"))
    os.utime(changed, (1, 1))
    with pytest.raises(DataError, match="has changed since the run was submitted"):
        ingest((seen,), ("FAKE", "REAL"), tmp_path / "after", seed=3)
    assert not (tmp_path / "after").exists()
    ingest((known(source),), ("FAKE", "REAL"), tmp_path / "after", seed=3)


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


def test_a_bucket_that_changed_is_told_before_it_is_read(tmp_path, scheme, monkeypatch):
    import fsspec

    filesystem = fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False)
    filesystem.exists("changed") or filesystem.mkdir("changed")
    filesystem.pipe("changed/pets/cat/a.png", encode(picture(1), "PNG"))
    seen = known(FolderSource(path=f"{scheme}://changed/pets"))
    filesystem.pipe("changed/pets/cat/a.png", b"no image any more")
    monkeypatch.setattr(tree, "_read_object", lambda *_: pytest.fail("it is read"))
    with pytest.raises(DataError, match=f"{scheme}://changed/pets has changed since the run was submitted"):
        ingest((seen,), ("cat", "dog"), tmp_path / "out", seed=3)


def test_digests_follow_each_source(tmp_path):
    sample, one = SampleSource(), folder(tmp_path, "one", "")
    task = load_task("authenticity").model_copy(update={"source": (sample, one)})
    assert as_seen_elsewhere(task) == task
    known = with_digest(task)
    assert known.source[0] == sample
    assert known.source[1].digest
    assert with_digest(task.model_copy(update={"source": one})).source == known.source[1]


KINDS = (
    "path,source,generator\nmade/0.png,phone,\nmade/1.png,scanner,sdxl\nmade/2.png,phone,sdxl\nmade/3.png,,\n"
)


@pytest.mark.parametrize(
    ("by", "labels", "counts"),
    [
        ("class", ("made", "other"), {"made": 4, "other": 1}),
        ("source", ("phone", "scanner", "pets"), {"phone": 2, "scanner": 1, "pets": 2}),
        ("generator", ("none", "sdxl"), {"none": 3, "sdxl": 2}),
    ],
)
def test_the_label_is_what_the_task_takes_it_from(tmp_path, by, labels, counts):
    for number in range(5):
        path = tmp_path / "pets" / ("made" if number < 4 else "other") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(picture(number), "PNG"))
    (tmp_path / "pets" / "manifest.csv").write_text(KINDS)
    source = FolderSource(path=str(tmp_path / "pets"), label_from=by)
    assert ingest((source,), labels, tmp_path / "out", seed=3).counts == {"all": counts}
    renamed = source.model_copy(update={"labels": {labels[0]: "first"}})
    again = ingest((renamed,), ("first", *labels[1:]), tmp_path / "again", seed=3)
    assert list(again.counts["all"].values()) == list(counts.values())
