"""The table in a bucket, for runs on machines that keep nothing. Credentials are found as for listing."""

from pathlib import Path

from bonafide.addresses import store_of
from bonafide.errors import BonafideError


def refuse_taken(address: str, overwrite: bool) -> None:
    """Stop here if something is there that may not be replaced.

    Raises:
        BonafideError: it is, or the bucket cannot be asked.
    """
    store, path = store_of(address)
    try:
        taken = not overwrite and store.exists(path)
    except Exception as error:  # each store's library has its own errors
        raise _refused(address, error) from error
    if taken:
        raise BonafideError(f"{address} is there already; name another one, or say --overwrite")


def upload(file: Path, address: str) -> None:
    """Put a copy of ``file`` there; a store shows it whole or not at all.

    Raises:
        BonafideError: the bucket does not take it.
    """
    store, path = store_of(address)
    try:
        store.put_file(str(file), path)
    except Exception as error:  # as above
        raise _refused(address, error) from error


def _refused(address: str, error: Exception) -> BonafideError:
    return BonafideError(f"cannot write {address}: {error}; check the address, and the bucket's credentials")
