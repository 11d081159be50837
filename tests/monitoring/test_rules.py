"""Each alert fires when it should and does not when it should not: promtool, and what people are told."""

import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "infra" / "monitoring" / "alerts"
TESTS = sorted((Path(__file__).parent / "rules").glob("*.yml"))
GROUPS = yaml.safe_load((ALERTS / "rules.yml").read_text())["groups"]
RULES = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
PAGES = "https://github.com/bonafide/bonafide/blob/main/docs/runbooks"
SEVERITIES = {"critical", "warning", "info"}


def promtool(*arguments: str | Path) -> str:
    """What it prints, once it is content."""
    if shutil.which("promtool") is None:
        pytest.skip("prometheus is not installed")
    result = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_prometheus_takes_the_rules():
    assert f"{len(RULES)} rules found" in promtool("check", "rules", ALERTS / "rules.yml")


@pytest.mark.parametrize("path", [path for path in TESTS if path.stem != "long"], ids=lambda path: path.stem)
def test_the_rules_do_what_their_tests_say(path):
    promtool("test", "rules", path)


@pytest.mark.e2e
def test_the_rules_do_over_days_what_their_tests_say():
    promtool("test", "rules", Path(__file__).parent / "rules" / "long.yml")


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not():
    tests = [test for path in TESTS for test in yaml.safe_load(path.read_text())["tests"]]
    cases = [
        (case["alertname"], bool(case["exp_alerts"])) for test in tests for case in test["alert_rule_test"]
    ]
    for fires in (True, False):
        assert {name for name, fired in cases if fired == fires} == set(RULES)


def test_a_rule_that_is_wrong_fails_its_tests(tmp_path):
    """With every comparison turned around, so that what fires and what does not change places."""
    turned = {">": "<", "<": ">"}
    text = (ALERTS / "rules.yml").read_text()
    wrong = re.sub(r"(?<= )[<>](?= [\d(m])", lambda match: turned[match[0]], text)
    (tmp_path / "rules.yml").write_text(wrong)
    for path in TESTS:
        if path.stem != "long":
            content = yaml.safe_load(path.read_text()) | {"rule_files": [str(tmp_path / "rules.yml")]}
            (tmp_path / path.name).write_text(yaml.safe_dump(content))
            with pytest.raises(AssertionError, match="FAILED"):
                promtool("test", "rules", tmp_path / path.name)


@pytest.mark.parametrize("name", RULES)
def test_an_alert_says_what_is_wrong_how_bad_it_is_and_what_to_do(name):
    rule = RULES[name]
    assert set(rule["annotations"]) == {"summary", "runbook_url"}
    assert re.fullmatch(r"[A-Z{].*\.", rule["annotations"]["summary"])
    assert rule["annotations"]["runbook_url"] == f"{PAGES}/{name}.md"
    assert rule["labels"]["severity"] in SEVERITIES
    assert set(rule["labels"]) <= {"severity", "bonafide_action"}


def test_what_starts_training_names_the_task():
    asking = [rule for rule in RULES.values() if "bonafide_action" in rule["labels"]]
    assert len(asking) == 2
    for rule in asking:
        assert rule["labels"]["bonafide_action"] == "retrain"
        assert "by (namespace, task)" in rule["expr"]


def test_there_are_four_groups_and_thirteen_alerts_and_more():
    assert [group["name"] for group in GROUPS] == ["availability", "performance", "model", "infrastructure"]
    assert len(RULES) >= 13


def test_a_ratio_of_nothing_is_no_number_that_passes():
    assert "vector(0)" not in (ALERTS / "rules.yml").read_text()


def test_generated_files_are_fresh():
    generate = runpy.run_path(str(ROOT / "infra" / "monitoring" / "generate.py"))
    for path, content in generate["files"]():
        assert path.read_text() == content, "run: python -m infra.monitoring.generate"


def test_a_prometheus_of_ones_own_reads_the_same_rules():
    told = promtool("check", "config", ROOT / "infra" / "monitoring" / "laptop" / "prometheus.yml")
    assert f"{len(RULES)} rules found" in told
