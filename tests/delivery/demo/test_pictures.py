from collections import Counter

import pytest

from bonafide.delivery.demo import pictures
from bonafide.sources.sample import LABELS, MANIFEST
from bonafide.task import load_task

TASK = load_task("authenticity")
FAMILIES = ("transposed", "nearest", "patch", "pixel-shuffle")


@pytest.fixture
def sample(monkeypatch):
    """Names and generators as the sample has them; files of no content."""

    def build(out, images, size, seed, taught):
        assert (images, size, seed, taught) == (3600 + pictures.MORE, 64, 42, 3600)
        rows = ["path,group,generator,source"]
        for number in range(images // 3):
            for label, shift in zip(LABELS, range(3), strict=True):
                generator = FAMILIES[(number // 5 + shift) % 4] if label != "real" else ""
                path = f"{label}/harbour-1-{number:05d}.jpg"
                (out / label).mkdir(parents=True, exist_ok=True)
                (out / path).touch()
                rows.append(f"{path},harbour-1,{generator},sample")
        (out / MANIFEST).write_text("\n".join(rows))
        return out

    monkeypatch.setattr(pictures, "build_sample", build)


def test_nobody_is_asked_about_what_training_saw_or_what_judges(tmp_path, sample):
    traffic = pictures.make(tmp_path / "images", TASK)
    names = {
        role: [f"{path.parent.name}/{path.name}" for path in sorted(getattr(traffic, role).rglob("*.jpg"))]
        for role in ("known", "new", "judged")
    }
    every = [name for found in names.values() for name in found]
    assert len(every) == len(set(every)) == pictures.MORE
    assert min(int(name[-9:-4]) for name in every) == 1200
    counts = {role: Counter(name.partition("/")[0] for name in found) for role, found in names.items()}
    assert counts["known"] == {"real": 2700, "ai-generated": 4050, "deepfake": 4050}
    assert counts["judged"].total() == pytest.approx(
        counts["new"].total() / (pictures.JUDGED_OF - 1), rel=0.05
    )
    assert all(count > 100 for found in counts.values() for count in found.values())
