"""What DVC must never take from its cache."""

from pathlib import Path

import yaml

STAGES = yaml.safe_load((Path(__file__).parents[2] / "dvc.yaml").read_text())["stages"]


def test_who_is_in_service_and_how_long_an_answer_takes_are_asked_anew():
    """The registry changes without DVC, and one busy moment must not refuse a model for ever."""
    assert {name for name, stage in STAGES.items() if stage.get("always_changed")} == {"champion", "compare"}


def test_every_stage_that_reads_code_follows_all_of_it():
    assert all("src/bonafide" in stage["deps"] for name, stage in STAGES.items() if name != "champion")
