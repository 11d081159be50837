import pytest

from tests import packages

COLOURS = {"red": (220, 10, 10), "green": (10, 220, 10), "blue": (10, 10, 220)}


@pytest.fixture
def colours(tmp_path):
    """Pictures by their colour, which the tests' model tells; one of two in ``blue`` is red."""
    folder = tmp_path / "colours"
    for label, colour in COLOURS.items():
        (folder / label).mkdir(parents=True)
        for number in range(2):
            shown = COLOURS["red"] if (label, number) == ("blue", 1) else colour
            (folder / label / f"{number}.png").write_bytes(packages.image(shown, 40 + number))
    return folder
