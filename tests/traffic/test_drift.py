from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from bonafide.data.looks import looks
from bonafide.errors import ConfigError, ImageError
from bonafide.traffic.drift import CHANGES, STEADY, Drift, blurred, brighter, compressed, mixed
from tests.data.pictures import encode, picture

FILES = {
    "jpeg": encode(picture(1), quality=88, subsampling=0),
    "grey": encode(picture(1).convert("L"), quality=88),
    "cmyk": encode(picture(1).convert("CMYK"), quality=88),
    "png": encode(picture(1), "PNG"),
    "webp": encode(picture(1), "WEBP"),
}


def pixels(content):
    return np.asarray(Image.open(BytesIO(content)).convert("RGB"), np.float64)


def roughness(content):
    return np.abs(np.diff(pixels(content), axis=0)).mean()


@pytest.mark.parametrize("change", CHANGES.values())
@pytest.mark.parametrize("file", FILES)
def test_a_change_keeps_the_size_and_grows(change, file):
    content = FILES[file]
    some, much = (change(content, strength) for strength in (0.2, 1.0))
    assert Image.open(BytesIO(some)).size == Image.open(BytesIO(content)).size
    changed = [np.abs(pixels(each) - pixels(content)).mean() for each in (some, much)]
    assert 0 < changed[0] < changed[1]
    assert change(content, 0.2) == some


@pytest.mark.parametrize("file", FILES)
def test_brightness_moves_brightness_alone(file):
    content = FILES[file]
    before, after = looks(content), looks(brighter(content, 0.25))
    wanted = np.minimum(255, 1.25 * pixels(content)).mean() / pixels(content).mean()
    assert after.pop("brightness") / before.pop("brightness") == pytest.approx(wanted, abs=0.02)
    assert after == before


def test_what_is_lossless_stays_so():
    wanted = np.minimum(255, 1.5 * pixels(FILES["png"]))
    assert pixels(brighter(FILES["png"], 0.5)) == pytest.approx(wanted, abs=1)


@pytest.mark.parametrize(("file", "own"), [("jpeg", 88), ("png", 95)])
def test_jpeg_moves_the_quality_down_from_the_image_s_own(file, own):
    qualities = [looks(compressed(FILES[file], strength))["jpeg_quality"] for strength in (0.01, 0.2, 0.5, 1)]
    assert qualities[0] == pytest.approx(own, abs=1)
    assert qualities[1:] == [round(own - (own - 20) * strength) for strength in (0.2, 0.5, 1)]
    before, after = looks(FILES[file])["brightness"], looks(compressed(FILES[file], 0.5))["brightness"]
    assert after == pytest.approx(before, abs=0.01)


def test_a_jpeg_that_is_worse_already_is_not_made_better():
    worse = encode(picture(1), quality=10)
    assert looks(compressed(worse, 1))["jpeg_quality"] == 10


def test_a_jpeg_s_colours_are_not_made_coarser_than_they_are():
    """At little strength little changes: an image in full colour resolution keeps that."""
    for change in (brighter, compressed):
        file = Image.open(BytesIO(change(FILES["jpeg"], 0.01)))
        assert [layer[1:3] for layer in file.layer] == [(1, 1)] * 3


def test_blur_takes_detail():
    some, much = (roughness(blurred(FILES["png"], strength)) for strength in (0.3, 1.0))
    assert roughness(FILES["png"]) > some > much
    assert looks(blurred(FILES["png"], 1.0))["jpeg_quality"] == 20


@pytest.mark.parametrize("change", CHANGES.values())
def test_what_is_no_image_cannot_be_changed(change):
    with pytest.raises(ImageError):
        change(b"no image", 0.5)


def test_labels_shift_from_one_mix_to_the_other():
    before, after = {"real": 0.8, "fake": 0.2}, {"fake": 0.5, "deepfake": 0.5}
    assert mixed(before, after, 0) == {"real": 0.8, "fake": 0.2, "deepfake": 0}
    assert mixed(before, after, 0.5) == pytest.approx({"real": 0.4, "fake": 0.35, "deepfake": 0.25})
    assert mixed(before, after, 1) == {"real": 0, "fake": 0.5, "deepfake": 0.5}


def test_strength_grows_with_time():
    assert [Drift("blur", 0.5).at(passed) for passed in (0, 0.5, 1)] == [0, 0.25, 0.5]
    assert STEADY.at(1) == 0


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"kind": "new-generator"}, "needs --drifted-images"),
        ({"kind": "label-shift"}, "needs --drifted-mix"),
        ({"kind": "blur", "images": "folder"}, "--drifted-images is of --drift new-generator only"),
        ({"mix": {"real": 1}}, "--drifted-mix is of --drift label-shift only"),
    ],
)
def test_what_is_missing_or_does_not_fit_the_kind_is_told(given, told):
    with pytest.raises(ConfigError, match=told):
        Drift(**given)
