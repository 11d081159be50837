"""From options to what keeps predictions."""

import logging
from typing import TYPE_CHECKING, Annotated

import typer

from bonafide.errors import ConfigError
from bonafide.home import LOCAL, STORE, home, own_store

if TYPE_CHECKING:
    from bonafide.feedback.writer import Writer

StoreOption = Annotated[
    str,
    typer.Option(
        envvar=STORE,
        help="Keep predictions in this database: postgresql://…, sqlite:///FILE, or `local` for "
        "$BONAFIDE_HOME/store.db.",
    ),
]
ImagesOption = Annotated[
    str,
    typer.Option(
        "--store-images",
        envvar="BONAFIDE_STORE_IMAGES",
        help="Keep copies of image files in this folder or bucket as well. [default: they are not kept]",
    ),
]
DaysOption = Annotated[
    float,
    typer.Option(
        "--store-days",
        envvar="BONAFIDE_STORE_DAYS",
        min=0,
        help="Forget predictions that are older and have no confirmed feedback, and their files; "
        "0 for never.",
    ),
]

logger = logging.getLogger(__name__)


def writer(store: str, images: str) -> "Writer | None":
    """What keeps predictions in ``store``; None where it is empty.

    Raises:
        ConfigError: an address is none.
        StoreError: the tables are not those of this version.
    """
    if not store:
        if images:
            raise ConfigError("--store-images keeps images of predictions that are stored; give --store too")
        return None
    from bonafide.data.looks import looks
    from bonafide.feedback.errors import OutdatedError, StoreError
    from bonafide.feedback.images import Images
    from bonafide.feedback.spool import Spool
    from bonafide.feedback.store import Store
    from bonafide.feedback.writer import Writer

    database = Store(address(store))
    try:
        database.database.check()
    except OutdatedError:
        raise
    except StoreError as error:
        logger.warning("predictions wait in the spool", extra={"error": str(error)})
    return Writer(database, Spool(home() / "spool"), looks, Images(images) if images else None)


def address(store: str) -> str:
    """What an option's word stands for."""
    return own_store() if store == LOCAL else store
