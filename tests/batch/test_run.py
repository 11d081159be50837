"""The table is right, and the same whatever happened on the way."""

import contextlib
import fcntl
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from bonafide.batch import run, scoring, table, workspace
from bonafide.batch.listing import Listing, listed
from bonafide.errors import BonafideError
from tests import packages
from tests.batch.conftest import ODD_NAMES, fill, picture, pixels, rows

POINTS = (
    (workspace, "write_json"),
    (table, "write_part"),
    (table, "join"),
    (Path, "replace"),
    (workspace.shutil, "rmtree"),
)


class Killed(BaseException):
    """Nothing in the code catches it, as nothing catches SIGKILL."""


@pytest.fixture
def killed_at(monkeypatch):
    """Arm a kill at the n-th point: before and after each write, the join, each move and the removal."""

    def arm(number: int) -> None:
        left = [number]

        def guarded(function):
            def call(*arguments, **options):
                point()
                result = function(*arguments, **options)
                point()
                return result

            return call

        def point() -> None:
            if left[0] == 0:
                raise Killed
            left[0] -= 1

        for owner, name in POINTS:
            monkeypatch.setattr(owner, name, guarded(originals[owner, name]))

    originals = {(owner, name): getattr(owner, name) for owner, name in POINTS}
    return arm


@pytest.mark.parametrize("name", ["scores.csv", "scores.parquet"])
def test_each_image_gets_the_model_s_answer_in_the_order_of_paths(score, images, tmp_path, name):
    summary = score(images, name)
    assert (summary.scored, summary.failed, summary.resumed, summary.skipped) == (50, {}, 0, 0)
    found = rows(tmp_path / name)
    paths = [row["path"] for row in found]
    assert paths == sorted(path.relative_to(images).as_posix() for path in images.rglob("*.png"))
    for row in found:
        expected = packages.probabilities(pixels(int(row["path"][2:7]))[None])[0]
        answered = [row[f"probability_{label}"] for label in packages.LABELS]
        np.testing.assert_allclose(answered, expected, atol=1e-5)
        assert row["label"] == packages.LABELS[expected.argmax()]
        assert row["confidence"] == max(answered)
        assert row["error"] is None


def test_csv_and_parquet_say_the_same(score, images, tmp_path):
    (images / "bad.jpg").write_bytes(b"no image")
    score(images)
    score(images, "scores.parquet")
    in_csv, in_parquet = rows(tmp_path / "scores.csv"), rows(tmp_path / "scores.parquet")
    assert len(in_csv) == 51
    for one, other in zip(in_csv, in_parquet, strict=True):
        for key, value in one.items():
            assert (
                np.float32(value) == np.float32(other[key])
                if isinstance(value, float)
                else value == other[key]
            )


def test_parquet_names_the_model(score, images, signed, tmp_path):
    score(images, "scores.parquet")
    metadata = pyarrow.parquet.read_schema(tmp_path / "scores.parquet").metadata
    told = {b"model": b"colour", b"version": b"7", b"digest": signed.info.model_digest.encode()}
    assert told.items() <= metadata.items()


@pytest.mark.parametrize("name", ["scores.csv", "scores.parquet"])
def test_odd_names_come_back_as_they_are(score, tmp_path, name):
    folder = tmp_path / "odd"
    folder.mkdir()
    for odd in ODD_NAMES:
        Path(
            os.path.join(os.fsencode(folder), odd).decode(errors="surrogateescape")
            if isinstance(odd, bytes)
            else folder / odd
        ).write_bytes(picture(1))
    assert score(folder, name).scored == len(ODD_NAMES)
    told = {row["path"] for row in rows(tmp_path / name)}
    assert told == {'comma,quote".png', "new\nline.png", "ünï.png", "=1+1.png", "\\xff.png"}


def test_bad_files_have_their_reason(score, images, tmp_path):
    (images / "cut.png").write_bytes(picture(1)[:60])
    (images / "empty.png").write_bytes(b"")
    (images / "text.webp").write_bytes(b"no image")
    (images / "gone.jpg").symlink_to(images / "nowhere")
    os.mkfifo(images / "pipe.jpg")
    summary = score(images)
    assert summary.scored == 50
    assert summary.failed == {"truncated": 1, "empty": 1, "not-an-image": 1, "unreadable": 2}
    bad = {row["path"]: row for row in rows(tmp_path / "scores.csv") if row["error"]}
    assert bad["gone.jpg"]["error"].startswith("unreadable: No such file")
    assert bad["pipe.jpg"]["error"] == "unreadable: no regular file"
    assert (
        bad["cut.png"]["label"] is bad["cut.png"]["confidence"] is bad["cut.png"]["probability_red"] is None
    )


def test_a_file_larger_than_an_image_may_be_is_not_read_whole(score, tmp_path):
    (tmp_path / "images").mkdir()
    with (tmp_path / "images" / "vast.png").open("wb") as stream:
        stream.write(picture(1))
        stream.truncate(2**40)  # sparse
    assert score(tmp_path / "images").failed == {"too-many-bytes": 1}


def test_nothing_but_bad_files_is_a_table_too(score, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"no image")
    assert score(tmp_path / "images").scored == 0
    assert [row["path"] for row in rows(tmp_path / "scores.csv")] == ["a.png"]


@pytest.mark.parametrize("name", ["scores.csv", "scores.parquet"])
def test_killed_at_any_point_it_goes_on_and_ends_with_the_same_bytes(
    score, images, tmp_path, killed_at, name
):
    (images / "bad.png").write_bytes(b"no image")
    score(images, f"whole-{name}")
    whole = (tmp_path / f"whole-{name}").read_bytes()
    resumed = []
    for number in range(1_000):
        killed_at(number)
        try:
            score(images, name)
        except Killed:
            killed_at(10**6)
            finished = (tmp_path / name).exists() and not workspace.unfinished(tmp_path / f".{name}.partial")
            resumed.append(score(images, name, overwrite=finished).resumed)
            again = True
        else:
            again = False
        assert (tmp_path / name).read_bytes() == whole
        assert sorted(path.name for path in tmp_path.iterdir() if name in path.name) == [
            name,
            f"whole-{name}",
        ]
        (tmp_path / name).unlink()
        if not again:
            break
    assert sorted(set(resumed)) == [0, 16, 32, 48, 51]
    assert resumed[-2:] == [
        0,
        0,
    ]  # killed while it tidied up: the output is whole, and --overwrite makes it anew


def test_killed_again_and_again_it_arrives(score, images, tmp_path, killed_at):
    score(images, "whole.csv")
    for _ in range(20):
        killed_at(4)
        with contextlib.suppress(Killed):
            score(images)
        if (tmp_path / "scores.csv").exists():
            break
    assert (tmp_path / "scores.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_the_number_of_cores_changes_nothing(score, images, tmp_path, monkeypatch, cores):
    score(images)
    monkeypatch.setattr(run, "available_cores", lambda: cores)
    score(images, "other.csv")
    assert (tmp_path / "scores.csv").read_bytes() == (tmp_path / "other.csv").read_bytes()


def test_files_are_held_only_up_to_a_limit(images, engine, monkeypatch):
    monkeypatch.setattr(scoring, "AHEAD_BYTES", 1)
    listing = listed(str(images))
    read: list[str] = []

    def counted(entry, limit):
        read.append(entry.name)
        return listing.read(entry, limit)

    answers = scoring.answers(Listing(listing.entries, 0, counted), start=0, engine=engine, cores=4)
    for number, answer in enumerate(answers):
        assert answer.name == listing.entries[number].name
        assert len(read) <= number + 1


def test_an_output_that_is_there_is_kept(score, images, tmp_path):
    (tmp_path / "scores.csv").write_text("precious")
    with pytest.raises(BonafideError, match=r"scores\.csv is there already; .* --overwrite"):
        score(images)
    assert (tmp_path / "scores.csv").read_text() == "precious"
    assert not (tmp_path / ".scores.csv.partial").exists()
    score(images, overwrite=True)
    assert len(rows(tmp_path / "scores.csv")) == 50


def test_an_output_that_appears_meanwhile_is_kept(score, images, tmp_path, monkeypatch):
    join = table.join

    def late(*arguments):
        (tmp_path / "scores.csv").write_text("precious")
        return join(*arguments)

    monkeypatch.setattr(table, "join", late)
    with pytest.raises(BonafideError, match="is there already"):
        score(images)
    monkeypatch.undo()
    assert (tmp_path / "scores.csv").read_text() == "precious"


def test_an_unfinished_run_does_not_make_an_output_replaceable(score, images, tmp_path, killed_at):
    killed_at(5)
    with pytest.raises(Killed):
        score(images)
    killed_at(10**6)
    (tmp_path / "scores.csv").write_text("precious")
    with pytest.raises(BonafideError, match="is there already"):
        score(images)
    assert (tmp_path / "scores.csv").read_text() == "precious"


@pytest.mark.parametrize("change", ["touched", "added", "removed", "version"])
def test_other_images_or_another_model_are_not_mixed_in(score, images, tmp_path, killed_at, change):
    killed_at(5)
    with pytest.raises(Killed):
        score(images)
    killed_at(10**6)
    first = images / "0" / "00000.png"
    if change == "touched":
        os.utime(first, ns=(1, 1))
    elif change == "added":
        shutil.copy(first, images / "new.png")
    elif change == "removed":
        first.unlink()
    what = "model" if change == "version" else "images"
    with pytest.raises(
        BonafideError, match=rf"\.scores\.csv\.partial .* with other {what}; remove that folder"
    ):
        score(images, version="8" if change == "version" else "7")
    shutil.rmtree(tmp_path / ".scores.csv.partial")
    score(images)


def test_parts_of_a_run_killed_while_it_tidied_up_are_not_taken_for_another_s(
    score, images, tmp_path, monkeypatch
):
    def killed(folder):
        raise Killed

    monkeypatch.setattr(workspace.shutil, "rmtree", killed)
    with pytest.raises(Killed):
        score(images)
    monkeypatch.undo()
    monkeypatch.setattr(run, "PART", 16)
    assert list((tmp_path / ".scores.csv.partial").glob("*.parquet"))
    with pytest.raises(BonafideError, match="is there already"):
        score(images)
    fill(tmp_path / "others", 20)
    assert score(tmp_path / "others", overwrite=True).resumed == 0
    assert len(rows(tmp_path / "scores.csv")) == 20
    assert not (tmp_path / ".scores.csv.partial").exists()


def test_two_runs_on_one_output_are_refused(score, images, tmp_path):
    folder = tmp_path / ".scores.csv.partial"
    folder.mkdir()
    with (folder / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BonafideError, match="another run is writing"):
            score(images)
    score(images)


def test_a_lock_whose_file_is_gone_does_not_count(tmp_path, monkeypatch):
    take = fcntl.flock

    def ended_meanwhile(lock, how):
        (tmp_path / "work" / "lock").unlink()
        take(lock, how)

    monkeypatch.setattr(fcntl, "flock", ended_meanwhile)
    with pytest.raises(BonafideError, match="another run"), workspace.opened(tmp_path / "work", {}):
        pass


def test_a_folder_that_cannot_be_written_is_told(engine, images, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BonafideError, match="cannot write"):
        run.score(
            str(images), tmp_path / "s.csv", engine, "7", kind="csv", workspace=tmp_path / "file" / "work"
        )


def test_an_input_that_cannot_be_read_any_more_stops_the_run_and_keeps_what_is_done(
    score, images, tmp_path, monkeypatch
):
    score(images, "whole.csv")

    def failing(where):
        found = listed(where)

        def read(entry, limit):
            if entry == found.entries[40]:
                raise BonafideError("the store is gone")
            return found.read(entry, limit)

        return Listing(found.entries, found.skipped, read)

    monkeypatch.setattr(scoring, "listed", failing)
    with pytest.raises(BonafideError, match="the store is gone"):
        score(images)
    monkeypatch.setattr(scoring, "listed", listed)
    assert score(images).resumed == 32
    assert (tmp_path / "scores.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_many_parts_are_joined_in_groups(score, tmp_path, monkeypatch):
    monkeypatch.setattr(table, "PARTS_A_GROUP", 2)
    fill(tmp_path / "many", 90)
    score(tmp_path / "many", "scores.parquet")
    assert len(rows(tmp_path / "scores.parquet")) == 90
    assert pyarrow.parquet.ParquetFile(tmp_path / "scores.parquet").num_row_groups == 3


def test_without_a_workspace_a_killed_run_goes_on_from_the_state_folder(
    engine, score, images, own_home, tmp_path, killed_at
):
    score(images, "whole.csv")
    killed_at(9)
    with pytest.raises(Killed):
        run.score(str(images), tmp_path / "first.csv", engine, "7", kind="csv")
    killed_at(10**6)
    assert run.score(str(images), tmp_path / "second.csv", engine, "7", kind="csv").resumed == 16
    assert (tmp_path / "second.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not list((own_home / "batch").iterdir())


def test_an_unknown_format_is_told_before_any_work(engine, images, tmp_path):
    with pytest.raises(BonafideError, match="'CSV' is no format of a table; there is csv and parquet"):
        run.score(str(images), tmp_path / "scores", engine, "7", kind="CSV")


def test_what_is_counted(score, images):
    (images / "bad.png").write_bytes(b"no image")
    counts = score(images).counts()
    assert counts == {"images": 51, "scored": 50, "failed": 1, "failed_not_an_image": 1}
