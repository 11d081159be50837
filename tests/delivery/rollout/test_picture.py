import pytest
from PIL import Image

from bonafide.delivery.rollout.picture import draw
from bonafide.errors import DeliveryError
from tests.delivery.rollout.test_tick import BAD, TASK, folder, look, measured
from tests.delivery.test_repository import FIRST, promote

__all__ = ["folder", "measured"]


def test_shares_and_verdicts_are_drawn(folder, measured, tmp_path):
    look(folder)
    measured["findings"] = BAD
    look(folder)
    picture = draw(str(folder), "dev", TASK, tmp_path / "rollout.png")
    with Image.open(picture) as image:
        assert image.size == (1350, 900)
        assert len(image.convert("RGB").getcolors(2**16)) > 50


def test_without_a_rollout_there_is_nothing_to_draw(tmp_path):
    promote(tmp_path / "delivery", "dev", FIRST)
    with pytest.raises(DeliveryError, match="no version of authenticity was rolled out in dev yet"):
        draw(str(tmp_path / "delivery"), "dev", TASK, tmp_path / "rollout.png")
