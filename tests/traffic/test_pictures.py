from collections import Counter
from io import BytesIO
from random import Random

import numpy as np
import pytest
from PIL import Image

from bonafide.errors import BonafideError, ConfigError
from bonafide.traffic.pictures import Pictures, read_mix
from tests.data.pictures import encode, picture


@pytest.fixture
def folder(tmp_path):
    for label, count in {"real": 3, "fake": 1}.items():
        (tmp_path / label).mkdir()
        for number in range(count):
            (tmp_path / label / f"{number}.png").write_bytes(encode(picture(number), "PNG"))
    return tmp_path


def chosen(folder, mix, count=2000):
    pictures, random = Pictures(str(folder), mix), Random(1)
    return Counter(pictures.choose(random).name.split("/")[0] for _ in range(count))


def test_each_image_comes_as_often_without_a_mix(folder):
    assert chosen(folder, {})["real"] == pytest.approx(1500, abs=150)


def test_labels_come_as_the_mix_says(folder):
    assert chosen(folder, {"real": 0.2, "fake": 0.8})["real"] == pytest.approx(400, abs=100)
    assert chosen(folder, {"real": 0, "fake": 1})["real"] == 0


def test_a_seed_chooses_the_same(folder):
    pictures = Pictures(str(folder), {})
    first, second = ([pictures.choose(random).name for _ in range(50)] for random in (Random(3), Random(3)))
    assert first == second


def test_a_label_without_images_is_told(folder):
    with pytest.raises(ConfigError, match="no images in deepfake; its sub-folders are: fake, real"):
        Pictures(str(folder), {"real": 0.5, "deepfake": 0.5})
    with pytest.raises(BonafideError, match="is not there"):
        Pictures(str(folder / "none"), {})


@pytest.mark.parametrize(
    ("text", "mix"), [("", {}), ("real=1", {"real": 1}), ("real=0.7, fake=0.3", {"real": 0.7, "fake": 0.3})]
)
def test_a_mix_is_read(text, mix):
    assert read_mix(text) == mix


@pytest.mark.parametrize(
    "text", ["real", "real=a", "real=0.5=0.5", "real=0.7,fake=0.7", "real=-1,fake=2", "real=nan"]
)
def test_another_mix_is_refused(text):
    with pytest.raises(ConfigError, match=r"no mix|1 in sum"):
        read_mix(text)


def test_drift_makes_images_worse_and_none_leaves_them(folder):
    pictures = Pictures(str(folder), {})
    entry = pictures.choose(Random(1))
    original = (folder / entry.name).read_bytes()
    assert pictures.content(entry, 0) == original

    def roughness(content):
        return np.abs(np.diff(np.asarray(Image.open(BytesIO(content)), np.float64), axis=0)).mean()

    some, much = (pictures.content(entry, drift) for drift in (0.3, 1.0))
    assert roughness(original) > roughness(some) > roughness(much)
    assert Image.open(BytesIO(much)).size == Image.open(BytesIO(original)).size


def test_what_is_no_image_is_sent_as_it_is(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    pictures = Pictures(str(tmp_path), {})
    assert pictures.content(pictures.choose(Random(1)), 1.0) == b"no image"
