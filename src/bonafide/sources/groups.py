"""The groups of several sources, whose names do not meet by chance."""

import re
from collections.abc import Sequence

from bonafide.source import Source

NUMBERED = re.compile("[0-9]+/")


def numbers(sources: Sequence[Source]) -> list[int]:
    """Of each source the number that its groups go by: its own, or that of the first of its ``namespace``."""
    names = [source.namespace for source in sources]
    return [names.index(name) + 1 if name else number for number, name in enumerate(names, start=1)]


def numbered(group: str, number: int) -> str:
    """A group's name in a dataset; the first source's groups keep theirs, unless they look numbered."""
    return f"{number}/{group}" if number > 1 or NUMBERED.match(group) else group
