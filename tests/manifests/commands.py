"""Whether what a manifest starts is a command that there is."""

import typer.main

from bonafide.cli.main import app


def parsed_command(words: list[str]) -> dict:
    """The options of a `bonafide` command, as the real command line reads them."""
    command = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    return command.make_context("bonafide", list(words)).params
