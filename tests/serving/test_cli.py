"""``bonafide predict`` as a person uses it; ``bonafide serve`` is driven by the other tests here."""

import json
from io import BytesIO

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from bonafide.cli.predict import predict
from bonafide.errors import BonafideError, ConfigError
from bonafide.serving.overlay import GAP, SIDE
from tests import packages

app = typer.Typer()
app.command()(predict)


@pytest.fixture
def folder(tmp_path):
    images = tmp_path / "images"
    (images / "deeper").mkdir(parents=True)
    (images / "red.png").write_bytes(packages.image((220, 10, 10)))
    (images / "deeper" / "blue.JPG").write_bytes(packages.image((10, 10, 220), 40, "JPEG"))
    (images / "notes.txt").write_text("no image, and not asked for")
    return images


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(params=["package", "server"])
def source(request, signed):
    if request.param == "package":
        return ["--package", signed.path, "--public-key", signed.public_key]
    return ["--url", request.getfixturevalue("server").url]


def test_a_folder_becomes_a_table(folder, source):
    table = run(folder, *source)
    cells = [line.split("│")[1:-1] for line in table.splitlines() if line.startswith("│")]
    rows = {name.strip(): rest for name, *rest in cells}
    assert list(rows) == ["deeper/blue.JPG", "red.png"]
    label, confidence, *probabilities = (cell.strip() for cell in rows["red.png"])
    assert (label, confidence) == ("red", "98.6%")
    assert probabilities == ["0.986", "0.007", "0.007"]


def test_files_that_are_no_images_leave_the_others_answered(folder, source):
    (folder / "broken.jpg").write_bytes(b"no image")
    output = json.loads(run(folder, folder / "absent.png", *source, "--json", code=2))
    answers = {entry["image"].rsplit("/", 1)[1]: entry for entry in output["predictions"]}
    assert output["model"] == "colour"
    assert answers["red.png"]["label"] == "red"
    assert answers["blue.JPG"]["label"] == "blue"
    assert sum(answers["red.png"]["probabilities"].values()) == pytest.approx(1)
    assert answers["broken.jpg"]["error"].startswith("not-an-image:")
    assert answers["absent.png"]["error"].startswith("unreadable:")


def test_the_table_tells_why_a_file_has_no_answer(folder, source):
    (folder / "[red]broken.jpg").write_bytes(b"no image")
    output = run(folder, *source, code=2)
    assert "[red]broken.jpg: not-an-image: the content is no image" in output.replace("\n", "")
    assert "98.6%" in output


def test_only_bad_files_still_end_well(folder, source):
    output = json.loads(run(folder / "notes.txt", *source, "--json", code=2))
    assert [entry["error"].split(":")[0] for entry in output["predictions"]] == ["not-an-image"]


def test_heat_maps_are_written_for_every_image_answered(folder, source, tmp_path):
    (folder / "broken.jpg").write_bytes(b"no image")
    run(folder, *source, "--explain", tmp_path / "new" / "heat.png", code=2)
    with Image.open(BytesIO((tmp_path / "new" / "heat.png").read_bytes())) as picture:
        assert (picture.format, picture.size) == ("PNG", (2 * SIDE + GAP, 2 * SIDE + GAP))
        first, second = picture.getpixel((5, 5)), picture.getpixel((5, SIDE + GAP + 5))
    assert first[2] > 200 > 50 > first[0]
    assert second[0] > 200 > 50 > second[2]


def test_the_key_of_the_home_is_the_default(folder, signed, tmp_path, monkeypatch):
    monkeypatch.setenv("BONAFIDE_HOME", str(signed.public_key.parent.parent))
    assert "98.6%" in run(folder, "--package", signed.path)
    monkeypatch.setenv("BONAFIDE_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(BonafideError, match=r"cannot read the public key .*elsewhere/keys/signing\.pub"):
        run(folder, "--package", signed.path)


def test_one_source_may_be_given(folder):
    with pytest.raises(ConfigError, match="--url of a server or --package"):
        run(folder, "--url", "http://127.0.0.1:9", "--package", "x")


def test_before_anything_is_in_service_a_source_must_be_given(folder):
    with pytest.raises(BonafideError, match="nothing is in service for authenticity"):
        run(folder)


def test_a_folder_without_images_is_told(tmp_path, source):
    with pytest.raises(BonafideError, match="holds no JPEG, PNG or WebP file"):
        run(tmp_path, *source)
