"""Options of ``bonafide api`` that others depend on, without a service."""

from typer.testing import CliRunner

from bonafide import home
from bonafide.cli.main import app
from bonafide.serving.api import server


def test_the_pipelines_that_it_starts_read_the_store_that_it_writes(monkeypatch, tmp_path):
    monkeypatch.delenv("BONAFIDE_STORE", raising=False)
    monkeypatch.setenv("BONAFIDE_API_SECRET", "s" * 40)
    read = []
    monkeypatch.setattr(server, "serve", lambda *_, **__: read.append(home.store()))
    place = f"sqlite:///{tmp_path}/own.db"
    words = ["api", "--url", "http://127.0.0.1:9", "--pipelines", "local", "--store", place]
    with monkeypatch.context() as patch:
        patch.setattr("bonafide.telemetry.logs.configure", lambda *_: None)
        patch.setenv("BONAFIDE_STORE", "")  # set by the command, and taken back with this
        result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert read == [place]
