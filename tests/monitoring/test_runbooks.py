"""Whoever is called finds a page that says what to do."""

import re
from pathlib import Path

import pytest

from tests.monitoring.test_rules import GROUPS, RULES

PAGES = Path(__file__).parents[2] / "docs" / "runbooks"
OTHERS = {"index", "incident"}
SECTIONS = ["What it means", "Look", "Do", "It is over when"]


def test_there_is_a_page_for_each_alert_and_none_without():
    assert {path.stem for path in PAGES.glob("*.md")} - OTHERS == set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_a_page_says_what_it_means_where_to_look_what_to_do_and_when_it_is_over(name):
    text = (PAGES / f"{name}.md").read_text()
    assert text.startswith(f"# {name}\n")
    assert f"Severity: {RULES[name]['labels']['severity']}. Group: {group(name)}.\n" in text
    sections = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    assert sections[1::2] == SECTIONS
    assert all(body.strip() for body in sections[2::2])


def test_the_first_page_lists_them_all():
    rows = re.findall(
        r"^\| \[(\w+)\]\(\1\.md\) \| (\w+) \| (\w+) \|$", (PAGES / "index.md").read_text(), re.M
    )
    assert rows == [(name, rule["labels"]["severity"], group(name)) for name, rule in RULES.items()]


def group(alert: str) -> str:
    (found,) = [each["name"] for each in GROUPS if alert in {rule["alert"] for rule in each["rules"]}]
    return found
