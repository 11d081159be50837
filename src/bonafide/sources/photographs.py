"""Real photographs that come inside installed packages: what the offline sample is cut from."""

from dataclasses import dataclass
from importlib import resources
from itertools import product
from pathlib import Path

from PIL import Image

from bonafide.errors import DataError

REGION = 192
GAP = 64


@dataclass(frozen=True)
class Photograph:
    """One scene, the file that shows it and the terms it may be used under."""

    name: str
    package: str
    file: str
    licence: str
    credit: str

    def open(self) -> Image.Image:
        """The scene as an RGB image.

        Raises:
            DataError: the package that ships the photograph is not installed or no longer ships it.
        """
        try:
            folder = Path(str(resources.files(self.package)))
            return Image.open(folder / self.file).convert("RGB")
        except (ImportError, FileNotFoundError) as error:
            raise DataError(
                f"photograph {self.name!r} of the offline sample is missing from {self.package}: "
                "install the locked dependencies again (make setup)"
            ) from error

    def regions(self) -> dict[str, Image.Image]:
        """Parts of the scene far apart, by name (``astronaut-1``): RGB images.

        They are a grid of as many rectangles as leave each side at least 192 px and each gap 64 px; what
        is too small for two stays whole.

        Raises:
            DataError: as :meth:`open`.
        """
        scene = self.open()
        boxes = product(_intervals(scene.height), _intervals(scene.width))
        return {
            f"{self.name}-{number}": scene.crop((left, top, right, bottom))
            for number, ((top, bottom), (left, right)) in enumerate(boxes, start=1)
        }


def _intervals(extent: int) -> list[tuple[int, int]]:
    """As many equal parts of ``extent`` pixels as fit, from start to end (exclusive)."""
    count = max(1, (extent + GAP) // (REGION + GAP))
    side = (extent - (count - 1) * GAP) // count
    return [(number * (side + GAP), number * (side + GAP) + side) for number in range(count)]


def _skimage(name: str, licence: str, credit: str, file: str) -> Photograph:
    return Photograph(name, "skimage", f"data/{file}", licence, credit)


PUBLIC_DOMAIN = "Public domain"
CC0 = "CC0-1.0"
UNRESTRICTED = "No known copyright restrictions"

PHOTOGRAPHS = (
    _skimage("astronaut", PUBLIC_DOMAIN, "NASA", "astronaut.png"),
    _skimage("brick", CC0, "CC0Textures, Bricks25", "brick.png"),
    _skimage("camera", CC0, "Lav Varshney", "camera.png"),
    _skimage("chelsea", CC0, "Stefan van der Walt", "chelsea.png"),
    _skimage("coffee", CC0, "Rachel Michetti", "coffee.png"),
    _skimage("coins", UNRESTRICTED, "Brooklyn Museum", "coins.png"),
    _skimage("grass", CC0, "linolafett", "grass.png"),
    _skimage("gravel", CC0, "CC0Textures, Gravel04", "gravel.png"),
    _skimage("hubble", PUBLIC_DOMAIN, "NASA", "hubble_deep_field.jpg"),
    _skimage("immunohistochemistry", UNRESTRICTED, "CMMI", "ihc.png"),
    _skimage(
        "motorcycle",
        "None stated (Middlebury stereo benchmark 2014, as redistributed by scikit-image)",
        "Scharstein et al., GCPR 2014",
        "motorcycle_left.png",
    ),
    _skimage("rocket", PUBLIC_DOMAIN, "SpaceX", "rocket.jpg"),
    Photograph("china", "sklearn", "datasets/images/china.jpg", "CC-BY-2.0", "danielbuechele"),
    Photograph("flower", "sklearn", "datasets/images/flower.jpg", "CC-BY-2.0", "vultilion"),
    Photograph(
        "grace-hopper",
        "matplotlib",
        "mpl-data/sample_data/grace_hopper.jpg",
        PUBLIC_DOMAIN,
        "James S. Davis, United States Navy",
    ),
)
