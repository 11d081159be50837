import asyncio
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bonafide.addresses import store_of
from bonafide.errors import BonafideError
from bonafide.feedback import images, retention
from bonafide.feedback.images import Images
from bonafide.feedback.retention import forget, keep_forgetting
from tests.buckets import gs, s3, scheme
from tests.feedback.conftest import NOON, prediction

__all__ = ["gs", "s3", "scheme"]

LATER = NOON + timedelta(days=1)


@pytest.fixture
def kept(store, tmp_path):
    """Four predictions, of which two have the same image; and where the images are."""
    place = Images(str(tmp_path / "images"))
    for number, digest in enumerate(("aa", "bb", "bb", "cc")):
        place.save(digest, digest.encode())
        store.add([prediction(number, sha256=digest, image=place.address(digest))])
        age(place.address(digest))
    return tmp_path / "images"


def age(address: str):
    """As if it had been saved two hours ago."""
    os.utime(address, times=(time.time() - 7200,) * 2)


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_an_image_goes_with_its_last_prediction(store, kept):
    assert forget(store, NOON + timedelta(minutes=2)) == (2, 1)
    assert left(kept) == {"bb", "cc"}
    assert forget(store, LATER) == (2, 2)
    assert left(kept) == set()


def test_an_image_that_is_gone_already_does_not_matter(store, kept):
    (kept / "aa" / "aa").unlink()
    assert forget(store, LATER) == (4, 3)


def test_an_image_that_came_again_waits_for_its_prediction(store, kept):
    place = Images(str(kept))
    place.save("aa", b"aa")
    assert forget(store, LATER) == (3, 2)
    assert images.read(place.address("aa")) == b"aa"
    store.add([prediction(9, time=LATER, sha256="aa", image=place.address("aa"))])
    age(place.address("aa"))
    assert forget(store, LATER) == (1, 0)
    assert images.read(store.find("p-9").image) == b"aa"


def test_an_image_that_stays_is_told_and_its_prediction_stays(store, kept):
    (kept / "aa" / "aa").unlink()
    (kept / "aa" / "aa").mkdir()
    age(kept / "aa" / "aa")
    with pytest.raises(BonafideError, match=r"1 images are still there, .*aa/aa"):
        forget(store, LATER)
    assert left(kept) == set()
    assert store.count() == 1
    (kept / "aa" / "aa").rmdir()
    assert forget(store, LATER) == (1, 1)


def test_forgetting_that_was_interrupted_is_done_the_next_time(store, kept, monkeypatch):
    remove, removed = images.remove, []

    def interrupted(address, *given):
        if removed:
            raise RuntimeError("killed")
        removed.append(address)
        return remove(address, *given)

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
        patch.setattr(images, "remove", interrupted)
        forget(store, LATER)
    forget(store, LATER)
    assert store.count() == 0
    assert left(kept) == set()


def test_what_is_old_is_forgotten_now_and_every_hour(store, kept, monkeypatch):
    monkeypatch.setattr(retention, "EVERY_SECONDS", 0.01)
    now = datetime.now(UTC)
    store.add([prediction(9, time=now), prediction(10, time=now - timedelta(days=3))])

    async def look():
        task = asyncio.create_task(keep_forgetting(store, 2)())
        while store.count() != 1 + 4 * (now - timedelta(days=2) < NOON):
            await asyncio.sleep(0.01)
        store.add([prediction(11, time=now - timedelta(days=3))])
        while store.find("p-11"):
            await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(asyncio.wait_for(look(), 30))
    assert store.find("p-9")


def test_images_may_lie_in_a_bucket(scheme):
    bucket, _ = store_of(f"{scheme}://kept")
    if not bucket.exists("kept"):
        bucket.mkdir("kept")
    place = Images(f"{scheme}://kept/images/")
    place.save("aa", b"content")
    place.save("aa", b"content")
    assert place.address("aa") == f"{scheme}://kept/images/aa/aa"
    assert images.read(place.address("aa")) == b"content"
    assert not images.remove(place.address("aa"), 3600)
    assert images.read(place.address("aa")) == b"content"
    assert images.remove(place.address("aa"))
    assert images.remove(place.address("aa"), 3600)
    assert images.read(place.address("aa")) is None
    with pytest.raises(BonafideError, match="cannot write"):
        Images(f"{scheme}://no-such-bucket-at-all").save("aa", b"content")
