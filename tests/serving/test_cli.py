"""``bonafide predict`` as a person uses it, and what ``bonafide serve`` makes of its options."""

import asyncio
import json
import sys
from functools import partial
from io import BytesIO

import pytest
import yaml
from PIL import Image
from prometheus_client import REGISTRY

from bonafide.cores import available_cores
from bonafide.delivery.manifests import inference_service, to_yaml
from bonafide.errors import BonafideError, ConfigError, PackageError
from bonafide.files import write_text
from bonafide.model.package import verify
from bonafide.serving.overlay import GAP, SIDE
from tests import packages
from tests.cli.conftest import bonafide

predict = partial(bonafide, "predict")


@pytest.fixture
def folder(tmp_path):
    images = tmp_path / "images"
    (images / "deeper").mkdir(parents=True)
    (images / "red.png").write_bytes(packages.image((220, 10, 10)))
    (images / "deeper" / "blue.JPG").write_bytes(packages.image((10, 10, 220), 40, "JPEG"))
    (images / "notes.txt").write_text("no image, and not asked for")
    return images


@pytest.fixture(params=["package", "server"])
def source(request, signed):
    if request.param == "package":
        return ["--package", signed.path, "--public-key", signed.public_key]
    return ["--url", request.getfixturevalue("server").url]


def test_a_folder_becomes_a_table(folder, source):
    table = predict(folder, *source)
    cells = [line.split("│")[1:-1] for line in table.splitlines() if line.startswith("│")]
    rows = {name.strip(): rest for name, *rest in cells}
    assert list(rows) == ["deeper/blue.JPG", "red.png"]
    label, confidence, *probabilities = (cell.strip() for cell in rows["red.png"])
    assert (label, confidence) == ("red", "98.6%")
    assert probabilities == ["0.986", "0.007", "0.007"]


def test_files_that_are_no_images_leave_the_others_answered(folder, source):
    (folder / "broken.jpg").write_bytes(b"no image")
    output = json.loads(predict(folder, folder / "absent.png", *source, "--json", code=2))
    answers = {entry["image"].rsplit("/", 1)[1]: entry for entry in output["predictions"]}
    assert output["model"] == "colour"
    assert answers["red.png"]["label"] == "red"
    assert answers["blue.JPG"]["label"] == "blue"
    assert sum(answers["red.png"]["probabilities"].values()) == pytest.approx(1)
    assert answers["broken.jpg"]["error"].startswith("not-an-image:")
    assert answers["absent.png"]["error"].startswith("unreadable:")


def test_the_table_tells_why_a_file_has_no_answer(folder, source):
    (folder / "[red]broken.jpg").write_bytes(b"no image")
    output = predict(folder, *source, code=2)
    assert "[red]broken.jpg: not-an-image: the content is no image" in output.replace("\n", "")
    assert "98.6%" in output


def test_only_bad_files_still_end_well(folder, source):
    output = json.loads(predict(folder / "notes.txt", *source, "--json", code=2))
    assert [entry["error"].split(":")[0] for entry in output["predictions"]] == ["not-an-image"]


def test_heat_maps_are_written_for_every_image_answered(folder, source, tmp_path):
    (folder / "broken.jpg").write_bytes(b"no image")
    predict(folder, *source, "--explain", tmp_path / "new" / "heat.png", code=2)
    with Image.open(BytesIO((tmp_path / "new" / "heat.png").read_bytes())) as picture:
        assert (picture.format, picture.size) == ("PNG", (2 * SIDE + GAP, 2 * SIDE + GAP))
        first, second = picture.getpixel((5, 5)), picture.getpixel((5, SIDE + GAP + 5))
    assert first[2] > 200 > 50 > first[0]
    assert second[0] > 200 > 50 > second[2]


def test_the_key_of_the_home_is_the_default(folder, signed, tmp_path, monkeypatch):
    monkeypatch.setenv("BONAFIDE_HOME", str(signed.public_key.parent.parent))
    assert "98.6%" in predict(folder, "--package", signed.path)
    monkeypatch.setenv("BONAFIDE_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(BonafideError, match=r"cannot read the public key .*elsewhere/keys"):
        predict(folder, "--package", signed.path)


def test_one_source_may_be_given(folder):
    with pytest.raises(ConfigError, match="--url of a server or --package"):
        predict(folder, "--url", "http://127.0.0.1:9", "--package", "x")


def test_before_anything_is_in_service_a_source_must_be_given(folder):
    with pytest.raises(BonafideError, match="nothing is in service for authenticity"):
        predict(folder)


def test_the_package_in_service_is_called_by_its_version(folder, signed, tmp_path, monkeypatch):
    monkeypatch.setenv("BONAFIDE_HOME", str(tmp_path))
    place = tmp_path / "delivery" / "environments" / "dev" / "colour" / "inferenceservice.yaml"
    write_text(place, to_yaml(inference_service("colour", "5", signed.path.as_uri(), "bonafide-dev")))
    task = tmp_path / "colour.yaml"
    task.write_text("{name: colour, title: Colours, labels: [red, green, blue]}")
    options = ["--public-key", signed.public_key]
    assert "colour, version 5" in predict(folder, "--task", task, *options)
    assert json.loads(predict(folder, "--task", task, *options, "--json"))["version"] == "5"
    named = json.loads(predict(folder, "--package", signed.path, *options, "--json"))
    assert named["version"] == signed.info.model_digest[:12]


def test_a_folder_without_images_is_told(tmp_path, source):
    with pytest.raises(BonafideError, match="holds no JPEG, PNG or WebP file"):
        predict(tmp_path, *source)


@pytest.fixture
def served(monkeypatch):
    """Runs ``bonafide serve`` until all is loaded; what the server would have been given."""
    given = {}
    monkeypatch.setattr(
        "bonafide.serving.server.serve", lambda models, **named: given.update(named, models=models)
    )
    monkeypatch.setattr("bonafide.telemetry.logs.configure", lambda: None)
    limits = REGISTRY.get_sample_value

    def run_serve(*arguments):
        bonafide("serve", *arguments)
        return given | {"queue": limits("bonafide_queue_limit_images")}

    yield run_serve
    for name in given["models"].names if given else ():
        given["models"].remove(name)


def test_serve_watches_by_default_and_clients_control_nothing(served, signed):
    given = served(signed.path, "--public-key", signed.public_key)
    assert len(given["background"]) == 1
    assert given["models"].versions("colour") == (signed.info.model_digest[:12],)
    assert given["models"].control is None
    assert given["queue"] == 64 * available_cores()


def test_serve_takes_its_options(served, signed):
    options = ["--watch=0", "--repository-control", "--queue=70", "--version=7"]
    given = served(signed.path, "--public-key", signed.public_key, *options)
    assert given["background"] == []
    assert given["models"].versions("colour") == ("7",)
    assert given["models"].control is not None
    assert given["queue"] == 70


def test_serve_follows_an_alias_of_the_registry(served, registry, tmp_path):
    from bonafide.registry.tracking import client

    mlflow = client()
    mlflow.create_registered_model("colour")
    for number, sharpness in enumerate((2.0, 4.0, 8.0), 1):
        made = packages.make(tmp_path, str(number), sharpness)
        mlflow.create_model_version("colour", made.path.as_uri())
    address, key = "models:/colour@champion", ["--public-key", made.public_key, "--repository-control"]
    with pytest.raises(BonafideError, match="colour has no version champion"):
        served(address, *key)
    mlflow.set_registered_model_alias("colour", "champion", "1")
    models = served(address, *key)["models"]
    assert models.versions("colour") == ("1",)
    for number in ("3", "2", "3"):
        mlflow.set_registered_model_alias("colour", "champion", number)
        asyncio.run(models.load("colour"))
        expected = verify(tmp_path / number, made.public_key).model_digest
        assert models.find("colour").version == number
        assert models.find("colour").info.model_digest == expected
    mlflow.delete_registered_model_alias("colour", "champion")
    with pytest.raises(BonafideError, match="colour has no version champion"):
        asyncio.run(models.load("colour"))
    assert models.versions("colour") == ("3", "2")


@pytest.mark.parametrize("address", ["models:/colour", "models:/@champion", "models:/colour@"])
def test_an_alias_must_be_whole(served, address):
    with pytest.raises(BonafideError, match="give models:/TASK@ALIAS"):
        served(address)


def test_an_alias_without_the_registrys_packages_is_told(served, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(BonafideError, match=r"pip install 'bonafide\[train\]'"):
        served("models:/colour@champion")


def test_serve_takes_what_is_in_service_and_follows_promotions(served, tmp_path, own_home):
    from bonafide.delivery.manifests import inference_service

    def promote(number):
        made = packages.make(tmp_path, number)
        folder = own_home / "delivery/environments/dev/authenticity"
        folder.mkdir(parents=True, exist_ok=True)
        manifest = inference_service("authenticity", number, made.path.as_uri(), "bonafide-dev")
        (folder / "inferenceservice.yaml").write_text(yaml.safe_dump(manifest))
        return made.public_key

    with pytest.raises(BonafideError, match="nothing is in service for authenticity"):
        served()
    models = served("--public-key", promote("1"), "--repository-control")["models"]
    promote("2")
    asyncio.run(models.load("colour"))
    assert models.versions("colour") == ("2", "1")


def test_serve_tells_what_is_no_package(served, tmp_path):
    with pytest.raises(PackageError, match="is no model package"):
        served(tmp_path / "absent")
