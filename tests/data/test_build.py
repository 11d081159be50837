import hashlib
import itertools
from dataclasses import replace
from pathlib import Path

import imagehash
import pytest
from PIL import Image

from bonafide.data import dataset
from bonafide.data.build import RawImage, build_dataset
from bonafide.data.dataset import ALL
from bonafide.data.decoding import decode
from bonafide.errors import BonafideError, DataError
from tests.data.pictures import LABELS, encode, picture, raw_images
from tests.data.test_decoding import png_bomb


def bad(name: str, content: bytes) -> RawImage:
    return RawImage(path=f"real/{name}", content=content, label_name="real", source="test")


BAD = [
    bad("empty.jpg", b""),
    bad("text.jpg", b"I am text"),
    bad("cut.jpg", encode(picture(1, 200, 200))[:2000]),
    bad("bomb.png", png_bomb(10_000, 10_000)),
    bad("small.png", encode(picture(1, 4, 4), "PNG")),
    bad("old.gif", encode(picture(1), "GIF")),
    bad("wide.jpg", b"\xff\xd8\xff" + bytes(20 * 2**20)),
]
REASONS = ["empty", "not-an-image", "truncated", "too-many-pixels", "too-small", "format", "too-many-bytes"]


def test_rows_hold_the_files_and_what_was_measured(make_dataset):
    images = raw_images(30)
    images[4] = replace(images[4], content=encode(picture(4, 80, 48), "PNG"), group=None)
    folder, _ = make_dataset(images)
    rows = list(dataset.images(folder, ALL))
    assert [row["path"] for row, _ in rows] == [image.path for image in images]
    assert [content for _, content in rows] == [image.content for image in images]
    row = rows[4][0]
    assert (row["width"], row["height"], row["format"]) == (80, 48, "PNG")
    assert row["sha256"] == row["group"] == hashlib.sha256(images[4].content).hexdigest()
    assert rows[5][0]["group"] == images[5].group
    assert [row["label"] for row, _ in rows[:3]] == [0, 1, 2]
    assert rows[0][0]["generator"] is None
    assert rows[1][0]["generator"] == "decoder"


def test_phash_is_that_of_imagehash(make_dataset):
    images = raw_images(6)
    folder, _ = make_dataset(images)
    for row, content in dataset.images(folder, ALL):
        pixels = decode(content).pixels
        assert row["phash"] == str(imagehash.phash(Image.fromarray(pixels)))
        assert len(row["phash"]) == 16


def test_bad_files_are_quarantined_with_their_reason(make_dataset):
    images = raw_images(30)
    folder, info = make_dataset(images[:10] + BAD + images[10:])
    assert [file.reason for file in info.quarantined] == REASONS
    assert [file.path for file in info.quarantined] == [image.path for image in BAD]
    assert sum(info.counts[ALL].values()) == 30
    for image in BAD:
        sha = hashlib.sha256(image.content).hexdigest()
        kept = folder / "quarantine" / f"{sha[:16]}-{Path(image.path).name}"
        assert kept.read_bytes() == image.content


@pytest.mark.parametrize("name", ["a\0b.png", "漢" * 80 + ".png", "é" * 300, "..", "real/.."])
def test_a_bad_file_is_kept_whatever_its_name(make_dataset, name):
    folder, info = make_dataset([*raw_images(30), replace(BAD[1], path=name)])
    assert [file.path for file in info.quarantined] == [name]
    [kept] = (folder / "quarantine").iterdir()
    assert kept.read_bytes() == BAD[1].content


def test_a_wrong_label_does_not_read_all_that_follows(tmp_path):
    wrong = replace(raw_images(1)[0], label_name="cat")
    endless = itertools.chain([wrong], (replace(wrong, label_name="dog") for _ in itertools.count()))
    with pytest.raises(DataError, match="not known: cat, dog"):
        build_dataset(endless, LABELS, tmp_path / "dataset")


def test_the_same_images_give_the_same_digest_with_any_number_of_threads(tmp_path):
    images = raw_images(40)
    digests = {build_dataset(iter(images), LABELS, tmp_path / str(n), workers=n).digest for n in (1, 3)}
    assert len(digests) == 1
    assert build_dataset(images[:-1], LABELS, tmp_path / "less").digest not in digests


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "no usable image"),
        (BAD, "no usable image; refused: 1 empty.*give JPEG"),
        ([image for image in raw_images(30) if image.label_name == "real"], "at least two classes"),
        (
            [image for image in raw_images(30) if image.label_name != "deepfake"],
            r"label 'deepfake'.*--set 'labels=\[real, ai-generated\]'",
        ),
        (
            [
                replace(image, label_name={"real": "cat"}.get(image.label_name, "dog"))
                for image in raw_images(9)
            ],
            r"label 'cat' is not among the task's labels.*--set 'labels=\[cat, dog\]'",
        ),
    ],
)
def test_what_cannot_be_trained_on_is_refused_and_leaves_nothing(tmp_path, images, message):
    with pytest.raises(DataError, match=message):
        build_dataset(images, LABELS, tmp_path / "dataset")
    assert not list(tmp_path.iterdir())


def test_a_source_that_breaks_leaves_nothing_and_the_old_dataset_stays(tmp_path):
    before = build_dataset(raw_images(30), LABELS, tmp_path / "dataset")

    def breaking():
        yield from raw_images(60)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        build_dataset(breaking(), LABELS, tmp_path / "dataset")
    assert [path.name for path in tmp_path.iterdir()] == ["dataset"]
    assert dataset.read_info(tmp_path / "dataset") == before


def test_a_full_disk_is_a_readable_error(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dataset.ShardWriter, "write", full)
    with pytest.raises(BonafideError, match="No space left"):
        build_dataset(raw_images(100), LABELS, tmp_path / "dataset")
    assert not list(tmp_path.iterdir())


def test_the_same_images_give_the_same_bytes_at_any_time(tmp_path):
    made = []
    for name in ("first", "second"):
        build_dataset(raw_images(30) + BAD, LABELS, tmp_path / name, seed=1, skipped=("notes.txt",))
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        made.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files})
    assert made[0] == made[1]
    assert {path.suffix for path in made[0]} >= {".parquet", ".json"}


def test_what_the_source_skipped_and_how_it_was_split_are_kept(tmp_path):
    images = [replace(image, given="test") if n < 3 else image for n, image in enumerate(raw_images(30))]
    info = build_dataset(images, LABELS, tmp_path / "out", skipped=("b.txt", "a.psd"))
    assert info.skipped == ("b.txt", "a.psd")
    assert dataset.read(tmp_path / "out", ALL, ["given"])["given"].to_pylist() == ["test"] * 3 + [None] * 27
