import json

from bonafide.telemetry.outcomes import FILE, record


def test_outcomes_are_appended_one_a_line(own_home, capsys):
    record("pets", "local/1", "SUCCEEDED", "")
    record("pets", "local/2", "FAILED", "no\nimages: é")
    first, second = map(json.loads, (own_home / FILE).read_text().splitlines())
    assert (first["task"], first["job"], first["state"], first["error"]) == (
        "pets",
        "local/1",
        "SUCCEEDED",
        "",
    )
    assert (second["state"], second["error"]) == ("FAILED", "no\nimages: é")
    assert first["time"] <= second["time"]
    assert capsys.readouterr().out.startswith("pets: succeeded\npets: failed, no")
