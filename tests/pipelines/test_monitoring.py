"""The monitoring pipeline as it is compiled; it is run for real among the long tests."""

import json

import pytest
import yaml

from bonafide.task import load_task
from pipelines import compilation, monitoring
from tests.pipelines.test_training import STEPS, tasks

FIRST = ["fetch", "collect", "drift-check", "decide"]


@pytest.fixture(scope="module")
def compiled() -> dict:
    return next(iter(yaml.safe_load_all((compilation.COMPILED / "monitoring.yaml").read_text())))


def test_its_steps_are_those_that_its_docstring_numbers(compiled):
    numbered = [line.split()[1] for line in monitoring.__doc__.splitlines() if line[:1].isdigit()]
    assert numbered == FIRST
    assert set(tasks(compiled)) >= {*FIRST, *STEPS, "champion", "report"}


def test_what_is_in_service_and_what_it_was_asked_is_never_cached(compiled):
    found = tasks(compiled)
    assert not any(found[name].get("cachingOptions", {}).get("enableCache") for name in (*FIRST, "report"))
    assert found["ingest"]["cachingOptions"]["enableCache"]
    assert found["report"]["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"


def test_training_begins_on_the_data_that_were_decided_upon(compiled):
    [group] = [name for name in compiled["components"] if "ingest" in tasks_of(compiled, name)]
    taken = tasks_of(compiled, group)["ingest"]["inputs"]["parameters"]["sources"]["componentInputParameter"]
    [task] = [
        task
        for name in compiled["components"]
        for task in tasks_of(compiled, name).values()
        if task["componentRef"]["name"] == group
    ]
    assert task["triggerPolicy"]["condition"].endswith("decide-Output'] == true")
    given = task["inputs"]["parameters"][taken]["taskOutputParameter"]
    assert given == {"producerTask": "decide", "outputParameterKey": "sources"}


def tasks_of(compiled: dict, component: str) -> dict:
    return compiled["components"][component].get("dag", {}).get("tasks", {})


def test_its_arguments_are_those_that_it_takes(compiled):
    given = monitoring.arguments(load_task("authenticity"), "dev", "never")
    assert set(given) == set(compiled["root"]["inputDefinitions"]["parameters"])
    assert given["monitoring_settings"]["hours"] == 24
    assert given["retrain"] == "never"
    json.dumps(given)
