"""The training pipeline as it is compiled."""

import pytest
import yaml

from bonafide.task import load_task
from pipelines import compilation, training

STEPS = [
    "ingest",
    "validate",
    "split",
    "train",
    "evaluate",
    "compare",
    "gate",
    "export",
    "register",
    "promote",
]


@pytest.fixture(scope="module")
def compiled() -> dict:
    return next(iter(yaml.safe_load_all((compilation.COMPILED / "training.yaml").read_text())))


def tasks(compiled: dict) -> dict[str, dict]:
    found = dict(compiled["root"]["dag"]["tasks"])
    for component in compiled["components"].values():
        found |= component.get("dag", {}).get("tasks", {})
    return found


def test_the_committed_file_is_what_the_pipeline_compiles_to():
    assert compilation.stale() == []


def test_a_changed_pipeline_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(compilation, "COMPILED", tmp_path)
    names = [f"{name}.yaml" for name in compilation.PIPELINES]
    assert [path.name for path in compilation.stale()] == names
    assert [path.name for path in compilation.compile_all()] == names
    assert compilation.stale() == []
    (tmp_path / "training.yaml").write_text("changed")
    assert [path.name for path in compilation.stale()] == ["training.yaml"]


def test_its_steps_are_those_that_its_docstring_numbers(compiled):
    numbered = [
        line.split()[1]
        for line in training.__doc__.splitlines()
        if line[:1].isdigit() and len(line.split()) > 2
    ]
    assert numbered == STEPS
    assert set(STEPS) | {"champion", "report"} <= set(tasks(compiled))


def test_what_depends_on_the_registry_is_never_cached(compiled):
    cached = {
        name for name, task in tasks(compiled).items() if task.get("cachingOptions", {}).get("enableCache")
    }
    assert cached & set(STEPS) == set(STEPS) - {"compare", "register", "promote"}
    assert not cached & {"champion", "report"}


def test_one_champion_places_and_judges_the_whole_run(compiled):
    found = tasks(compiled)
    for step in ("split", "compare"):
        told = found[step]["inputs"]["parameters"]["champion"]["taskOutputParameter"]
        assert told == {"outputParameterKey": "Output", "producerTask": "champion"}


def test_nothing_costly_starts_before_the_registry_has_answered(compiled):
    ingest = tasks(compiled)["ingest"]
    assert ingest["dependentTasks"] == ["champion"]
    assert "champion" not in str(ingest["inputs"])


def test_export_register_and_promote_need_a_passed_gate(compiled):
    (condition,) = (
        task for task in tasks(compiled).values() if task.get("triggerPolicy", {}).get("condition")
    )
    assert "gate-Output" in condition["triggerPolicy"]["condition"]
    inside = compiled["components"][condition["componentRef"]["name"]]["dag"]["tasks"]
    assert set(inside) == {"export", "register", "promote"}


def test_the_report_runs_also_after_a_failure(compiled):
    assert tasks(compiled)["report"]["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"


def test_arguments_are_all_that_the_pipeline_takes_and_hold_no_null(compiled):
    given = training.arguments(load_task("authenticity"))
    assert set(given) == set(compiled["root"]["inputDefinitions"]["parameters"])

    def nulls(value) -> bool:
        if isinstance(value, dict):
            return any(map(nulls, value.values()))
        return value is None or (isinstance(value, list) and any(map(nulls, value)))

    assert not nulls(given)


def test_each_step_sees_its_own_section_only():
    before = training.arguments(load_task("authenticity"))
    after = training.arguments(load_task("authenticity", ["gate.accuracy=0.9"]))
    assert {name for name in before if before[name] != after[name]} == {"gate_settings", "task"}
