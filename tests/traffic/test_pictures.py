from collections import Counter
from random import Random

import pytest

from bonafide.errors import BonafideError, ConfigError
from bonafide.traffic.drift import CHANGES, Drift
from bonafide.traffic.inputs import read_mix
from bonafide.traffic.pictures import Pictures
from tests.data.pictures import encode, picture


@pytest.fixture
def folder(tmp_path):
    return filled(tmp_path / "known", real=3, fake=1)


@pytest.fixture
def other(tmp_path):
    return filled(tmp_path / "other", deepfake=2)


def filled(folder, **counts):
    for label, count in counts.items():
        (folder / label).mkdir(parents=True)
        for number in range(count):
            (folder / label / f"{number}.png").write_bytes(encode(picture(number), "PNG"))
    return folder


def labels(pictures, passed=0.0, count=2000):
    random = Random(1)
    return Counter(pictures.choose(random, passed).label for _ in range(count))


def test_each_image_comes_as_often_without_a_mix(folder):
    assert labels(Pictures(str(folder), {}))["real"] == pytest.approx(1500, abs=150)


def test_labels_come_as_the_mix_says(folder):
    found = labels(Pictures(str(folder), {"real": 0.2, "fake": 0.8}))
    assert found["real"] == pytest.approx(400, abs=100)
    assert labels(Pictures(str(folder), {"real": 0, "fake": 1}))["real"] == 0


@pytest.mark.parametrize("kind", [None, "blur", "new-generator", "label-shift"])
def test_a_seed_chooses_the_same(folder, other, kind):
    given = {"new-generator": {"images": str(other)}, "label-shift": {"mix": {"fake": 1}}}
    pictures = Pictures(str(folder), {}, Drift(kind, **given.get(kind, {})))

    def chosen(seed):
        random = Random(seed)
        return [pictures.choose(random, number / 50) for number in range(50)]

    assert chosen(3) == chosen(3) != chosen(4)


def test_a_label_without_images_is_told(folder):
    with pytest.raises(ConfigError, match="no image of deepfake; its labels are: fake, real"):
        Pictures(str(folder), {"real": 0.5, "deepfake": 0.5})
    with pytest.raises(ConfigError, match="no image of deepfake; its labels are: fake, real"):
        Pictures(str(folder), {}, Drift("label-shift", mix={"deepfake": 1}))
    with pytest.raises(BonafideError, match="is not there"):
        Pictures(str(folder / "none"), {})
    with pytest.raises(BonafideError, match="is not there"):
        Pictures(str(folder), {}, Drift("new-generator", images=str(folder / "none")))


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


@pytest.mark.parametrize("kind", CHANGES)
def test_a_kind_that_changes_images_does_so_when_time_has_passed(folder, kind):
    pictures = Pictures(str(folder), {}, Drift(kind, 0.5))
    first, last = pictures.choose(Random(1), 0), pictures.choose(Random(1), 1)
    original = (folder / first.entry.name).read_bytes()
    assert pictures.content(first) == original
    assert pictures.content(last) == CHANGES[kind](original, 0.5)
    assert (first.strength, last.strength) == (0, 0.5)


def test_images_of_a_new_generator_come_more_and_more(folder, other):
    pictures = Pictures(str(folder), {"real": 1}, Drift("new-generator", 0.8, images=str(other)))
    found = [labels(pictures, passed) for passed in (0, 0.5, 1)]
    assert [each["deepfake"] for each in found] == [
        0,
        pytest.approx(800, abs=100),
        pytest.approx(1600, abs=100),
    ]
    assert all(each["deepfake"] + each["real"] == 2000 for each in found)
    assert pictures.labels == {"real", "fake", "deepfake"}


def test_each_image_is_read_where_it_lies(folder, other):
    """Two folders may have files of one name."""
    (other / "real").mkdir()
    (other / "real" / "0.png").write_bytes(b"another")
    (other / "deepfake" / "0.png").unlink()
    (other / "deepfake" / "1.png").unlink()
    pictures = Pictures(str(folder), {"real": 1}, Drift("new-generator", images=str(other)))
    assert pictures.content(pictures.choose(Random(1), 1)) == b"another"
    known = pictures.choose(Random(1), 0)
    assert pictures.content(known) == (folder / known.entry.name).read_bytes()
    assert (known.folder, known.label) == (str(folder), "real")


@pytest.mark.parametrize(("mix", "at_first"), [({}, 500), ({"real": 1}, 0)])
def test_labels_shift_towards_another_mix(folder, mix, at_first):
    pictures = Pictures(str(folder), mix, Drift("label-shift", mix={"fake": 0.9, "real": 0.1}))
    found = [labels(pictures, passed)["fake"] for passed in (0, 0.5, 1)]
    assert found == [pytest.approx(count, abs=100) for count in (at_first, (at_first + 1800) / 2, 1800)]
    picked = pictures.choose(Random(1), 1)
    assert pictures.content(picked) == (folder / picked.entry.name).read_bytes()


def test_what_is_no_image_is_sent_as_it_is(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    pictures = Pictures(str(tmp_path), {}, Drift("blur"))
    picked = pictures.choose(Random(1), 1)
    assert pictures.content(picked) == b"no image"
    assert picked.label == ""
    assert pictures.labels == set()
