"""``bonafide feedback`` as a person uses it."""

import os
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from bonafide.cli.feedback import app
from bonafide.errors import BonafideError, ConfigError
from bonafide.feedback.errors import UnknownError
from bonafide.feedback.images import Images
from bonafide.feedback.store import Store
from bonafide.home import own_store
from tests.feedback.conftest import prediction
from tests.packages import image

NOW = datetime.now(UTC)


@pytest.fixture
def store(tmp_path):
    made, place = Store(own_store()), Images(str(tmp_path / "images"))
    made.database.check()
    for number in range(4):
        digest = f"{number:064x}"
        place.save(digest, image((number, 0, 0)))
        os.utime(place.address(digest), times=(NOW.timestamp() - 7200,) * 2)
        made.add([prediction(number, time=NOW - timedelta(days=number), image=place.address(digest))])
    return made


def run(*arguments, columns=200):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": str(columns)})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_feedback_is_given_decided_shown_and_written(store, tmp_path):
    said = run("add", "p-1", "real", "--reviewer", "anna", "--note", "I took it.")
    assert "the prediction was wrong, new" in said
    first = said.partition(":")[0]
    second = run("add", "p-0", "real", "--reviewer", "anna").partition(":")[0]
    third = run("add", "p-2", "ai-generated").partition(":")[0]
    assert "confirmed, 'real'" in run("confirm", first, second, "--reviewer", "berta")
    assert "rejected, 'ai-generated'" in run("reject", third)
    shown = run("list")
    assert all(each in shown for each in (first, second, third, "anna", "rejected"))
    assert third not in run("list", "--state", "confirmed", "--task", "authenticity")
    figures = run("figures")
    assert "50.0%" in figures and "100.0%" in figures
    assert "2 images" in run("export", tmp_path / "out")
    assert len(list((tmp_path / "out" / "real").iterdir())) == 2


def test_ids_are_whole_however_narrow_the_screen(store):
    assert run("add", "p-1", "real").partition(":")[0] in run("list", columns=60)


def test_figures_of_nothing_are_none(store):
    assert run("figures").count("–") == 3


def test_what_is_old_is_forgotten(store):
    run("confirm", run("add", "p-3", "real").partition(":")[0])
    assert "forgotten: 1 predictions, 1 images" in run("forget", "--older-than", "36h")
    assert "forgotten: 1 predictions" in run("forget", "--older-than", "2d", "--confirmed")
    assert store.count() == 2


@pytest.mark.parametrize("age", ["", "30", "d", "-1d", "1w", "1.5d"])
def test_an_age_that_is_none_is_told(store, age):
    with pytest.raises(ConfigError, match="write whole days or hours, as 30d or 12h"):
        run("forget", f"--older-than={age}")


def test_what_is_not_there_is_told(store):
    with pytest.raises(UnknownError):
        run("add", "none", "real")
    known = run("add", "p-1", "real").partition(":")[0]
    with pytest.raises(BonafideError, match=r"1 of 2 were not confirmed: there is no feedback 'none'"):
        run("confirm", "none", known)
    assert known in run("list", "--state", "confirmed")


def test_a_server_s_tables_are_made(postgresql, monkeypatch):
    postgresql.execute("CREATE DATABASE migrated")
    monkeypatch.setenv("BONAFIDE_STORE", postgresql.address("migrated"))
    assert "migrated: the tables are those of this version" in run("migrate")
    assert run("list")
