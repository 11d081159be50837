"""The documentation says what is so: it builds, its links hold, its commands parse, its examples run."""

import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml

from bonafide.config import parse
from bonafide.data.dataset import SCHEMA, DatasetInfo, table_schema
from bonafide.model.package import PackageInfo
from bonafide.sources.photographs import PHOTOGRAPHS
from bonafide.task import Task, load_task

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if not path.stem.endswith("-head"))
FRONT = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
GENERATE = runpy.run_path(str(DOCS / "generate.py"))
COMMANDS = dict(GENERATE["commands"]())


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\b[^\n]*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    return (DOCS / name).read_text()


def shell_commands(text: str) -> list[list[str]]:
    """Each simple command of the page's shell blocks, and of code within sentences."""
    lines = [line for block in blocks(text, "sh") for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    commands = []
    for line in [*lines, *re.findall(r"`([^`\n]+)`", prose)]:
        if re.search(r"(^|[ /])(bonafide|make) ", line):
            splitter = shlex.shlex(line, posix=True, punctuation_chars=True)
            splitter.whitespace_split = True
            commands.append(list(splitter))
    return commands


def quoted(program: str) -> list[tuple[str, ...]]:
    found = (
        command
        for path in (*PAGES, *FRONT)
        for command in shell_commands(path.read_text())
        if command[0].removeprefix(".venv/bin/") == program
    )
    return sorted({tuple(command[1:]) for command in found})


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    # Not with --quiet: it hides warnings from --strict as well.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


def test_the_site_builds_strictly_with_every_page(site):
    for path in PAGES:
        name = path.relative_to(DOCS).with_suffix("")
        folder = name.parent if name.name == "index" else name
        assert (site / folder / "index.html").is_file()


def test_the_site_asks_nothing_of_other_hosts(site):
    loading = re.compile(r'<(?:script|img|link)\b[^>]*?(?:src|href)="?(?:https?:)?//[^>]*>')
    for path in site.rglob("*.html"):
        assert loading.findall(path.read_text()) == []


@pytest.mark.parametrize("path", FRONT, ids=lambda path: path.name)
def test_links_of_the_pages_outside_the_site_hold(path):
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
    assert [target for target in targets if not (ROOT / target).exists()] == []


@pytest.mark.parametrize("name", ["cli.md", "engines.md", "metrics.md", "rollout.md", "task.md"])
def test_generated_pages_are_fresh(name):
    assert page(f"reference/{name}") == GENERATE["PAGES"][name](), "run: python docs/generate.py"


def test_a_pattern_that_nobody_put_into_words_stops_the_pages():
    with pytest.raises(KeyError, match="x"):
        GENERATE["_values"]({"type": "string", "pattern": "^x+$"})


def test_every_command_has_its_section():
    assert {"bonafide demo", "bonafide model gate"} <= set(COMMANDS)
    assert re.findall(r"^## (.+)$", page("reference/cli.md"), re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize("arguments", quoted("bonafide"), ids=" ".join)
def test_quoted_commands_parse(arguments):
    line = " ".join(["bonafide", *arguments])
    group = line.removesuffix("…").removesuffix("--help").strip() + " "
    if any(name.startswith(group) for name in COMMANDS):  # a mention of a group, or of all
        return
    name = next((name for name in COMMANDS if f"{line} ".startswith(f"{name} ")), None)
    assert name, f"no such command: {line}"
    if rest := list(arguments[len(name.split()) - 1 :]):  # else a mention
        context = COMMANDS[name].make_context(name, rest)
        load_task("authenticity", list(context.params.get("overrides") or ()))


def test_quoted_make_targets_exist():
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    asked = {arguments[0] for arguments in quoted("make")}
    assert "demo" in asked
    assert asked <= targets


def test_the_example_task_is_valid_and_the_whole_change():
    text = page("how-to/add-a-task.md")
    [example] = blocks(text, "yaml")
    assert parse(Task, yaml.safe_load(example), "the example").gate.recall == {"barolo": 0.8}
    assert f"tasks/wine.yaml | {len(example.splitlines())} +" in text


@pytest.mark.parametrize("name", ["parquet", "hugging-face"])
def test_the_example_of_a_source_is_a_task(name):
    [example] = blocks(page(f"how-to/{name}.md"), "yaml")
    task = parse(Task, yaml.safe_load(example), "the example")
    assert set(task.sources[0].labels.values()) == set(task.labels)
    assert f'title="tasks/{task.name}.yaml"' in page(f"how-to/{name}.md")


def test_each_step_of_own_images_is_given_the_page_s_own_task():
    text = page("how-to/own-images.md")
    [example] = blocks(text, "yaml")
    task = parse(Task, yaml.safe_load(example), "the example").name
    assert f'title="tasks/{task}.yaml"' in text
    steps = text[text.index("## One step at a time") :]
    for words in shell_commands(steps):
        name = next(name for n in (3, 2) if (name := " ".join(words[:n])) in COMMANDS)
        takes_task = any(each.name == "task" for each in COMMANDS[name].params)
        assert (words[-2:] == ["--task", task]) == takes_task, words


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("dataset-format.md", SCHEMA.names),
        ("dataset-format.md", table_schema([]).names),
        ("dataset-format.md", list(DatasetInfo.model_fields)),
        ("model-package.md", list(PackageInfo.model_fields)),
    ],
)
def test_formats_are_told_whole(name, fields):
    told = set(re.findall(r"`([a-z0-9_]+)`", page(f"reference/{name}")))
    assert set(fields) <= told


def test_the_notebook_is_valid_and_holds_no_output():
    notebook = nbformat.read(DOCS / "notebooks" / "colab.ipynb", as_version=4)
    nbformat.validate(notebook)
    ran = [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]
    assert ran == []


def test_every_photograph_is_told_with_its_licence_and_credit():
    text = page("reference/offline-sample.md")
    for photograph in PHOTOGRAPHS:
        row = next(line for line in text.splitlines() if line.startswith(f"| `{photograph.name}` |"))
        assert row.endswith(f"| {photograph.licence} | {photograph.credit} |")
