import pytest

from bonafide.data.dataset import read, read_info
from bonafide.errors import DataError
from bonafide.sources import decoders
from bonafide.sources.ingest import ingest
from bonafide.sources.sample import LABELS
from bonafide.task import FolderSource, SampleSource
from tests.data.pictures import encode, picture


def test_a_folder_becomes_a_dataset(tmp_path):
    for number in range(6):
        path = tmp_path / "pets" / ("cat" if number % 2 else "dog") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(picture(number), "PNG"))
    info = ingest(FolderSource(path=str(tmp_path / "pets")), ("cat", "dog"), tmp_path / "out", seed=3)
    assert info == read_info(tmp_path / "out")
    assert info.counts == {"all": {"cat": 3, "dog": 3}}
    assert info.seed == 3


def test_the_sample_becomes_a_dataset_with_regions_of_photographs_as_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(decoders, "STEPS", 2)
    info = ingest(SampleSource(images=45, size=32), LABELS, tmp_path / "out", seed=3)
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
    info = ingest(FolderSource(path=str(tmp_path / "cifake")), ("REAL", "FAKE"), tmp_path / "out", seed=3)
    assert info.counts == {"all": {"REAL": 4, "FAKE": 4}}
    assert info.skipped == ("train/REAL/notes.txt",)
    given = read(tmp_path / "out", "all", ["given"])["given"].to_pylist()
    assert given == ["test"] * 2 + ["train"] * 6


def test_a_source_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match="is no folder"):
        ingest(FolderSource(path=str(tmp_path / "none")), LABELS, tmp_path / "out", seed=3)
    assert not (tmp_path / "out").exists()
