"""Commands as a person gives them, within the test's own process."""

from typer.testing import CliRunner

from bonafide.cli.main import app


def bonafide(*words: object, code: int = 0) -> str:
    """What the command prints; an error of Bonafide is raised."""
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output
