"""Reads the blocks of code in the how-tos."""

import re
from pathlib import Path

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[str, str, str]]:
    """Language, title and content of each block."""
    return BLOCK.findall((HOW_TO / f"{page}.md").read_text())


def scripts(page: str) -> list[str]:
    return [content for language, _, content in blocks(page) if language == "sh"]


def program(page: str, title: str) -> dict:
    """What a page's Python file defines."""
    content = next(content for _, name, content in blocks(page) if name == title)
    namespace = {"__name__": "snippet"}
    exec(compile(content, title, "exec"), namespace)
    return namespace
