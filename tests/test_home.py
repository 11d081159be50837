from pathlib import Path

from bonafide.home import home, keys


def test_the_state_folder_is_read_at_each_call(tmp_path, monkeypatch):
    for name in ("one", "two"):
        monkeypatch.setenv("BONAFIDE_HOME", str(tmp_path / name))
        assert home() == tmp_path / name
        assert keys() == tmp_path / name / "keys"
        assert not home().exists()


def test_the_state_folder_is_absolute_and_in_the_working_folder_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("BONAFIDE_HOME")
    monkeypatch.chdir(tmp_path)
    assert home() == tmp_path / ".bonafide"
    monkeypatch.setenv("BONAFIDE_HOME", "state/../here")
    assert home() == Path.cwd() / "here"
