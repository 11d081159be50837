"""KServe without pandas, which it imports for conversions a server never needs: 44 MB, 77 MB with pyarrow.

https://github.com/kserve/kserve/blob/v0.21.0/python/kserve/kserve/protocol/infer_type.py names
``pandas.DataFrame`` in annotations, so pandas is loaded before anything of it is used.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

NAME = "pandas"
USERS = ("kserve.protocol.infer_type", "kserve.utils.utils")


class _Later(ModuleType):
    """Imports what it stands for when something of it is used."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)


def import_kserve() -> None:
    """Import KServe, and pandas only once one of its conversions is called."""
    if NAME in sys.modules or "kserve" in sys.modules:
        return
    stand_in = sys.modules[NAME] = ModuleType(NAME)
    stand_in.DataFrame = object  # type: ignore[attr-defined]
    try:
        users = [import_module(user) for user in USERS]
    finally:
        del sys.modules[NAME]
    for user in users:
        user.pd = _Later(NAME)  # type: ignore[attr-defined]
