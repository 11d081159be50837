"""What an environment adds to each of its services: a kustomize Component of the delivery repository."""

from contextlib import suppress
from importlib import resources
from pathlib import Path

from bonafide.delivery.checkout import Checkout

OVERLAYS = Path("overlays")


def overlay(delivery: Checkout, environment: str) -> tuple[str, dict[Path, str]]:
    """The environment's Component, and the files that are to be written if it is not in the repository yet.

    Once it is there, it is the team's, and nothing of it is written again.

    Returns:
        its folder as a task's folder names it, empty for none; and the files.
    """
    folder = OVERLAYS / environment
    files = {}
    if not _committed(delivery, folder):
        files = {folder / path.name: path.read_text() for path in _shipped(environment)}
        if not files:
            return "", {}
    return f"../../../{folder}", files


def _committed(delivery: Checkout, folder: Path) -> bool:
    with suppress(KeyError):
        delivery.repository.head.commit.tree.join(folder.as_posix())
        return True
    return False


def _shipped(environment: str) -> list[Path]:
    """The Component's files in the installed package, or in the checkout that it runs from."""
    package = Path(str(resources.files("bonafide")))
    places = (place / "kserve/overlays" / environment for place in (package, package.parents[1]))
    return next(filter(None, (sorted(place.glob("*.yaml")) for place in places)), [])
