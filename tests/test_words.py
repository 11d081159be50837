"""What people read about a task is in its own words: each page of each task is made, with small made data."""

import io
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import yaml
from PIL import Image
from rich.console import Console

from bonafide.cli import outcome
from bonafide.data.dataset import DatasetInfo
from bonafide.data.validate import VALIDATION_REPORT, validate
from bonafide.drift.check import Found
from bonafide.drift.environment import Answer
from bonafide.drift.judge import Judgement, Sides, judge
from bonafide.drift.mix import Known
from bonafide.drift.report import drift_html
from bonafide.evaluation.card import CardFacts, model_card
from bonafide.evaluation.compare import Comparison, compare_answers
from bonafide.evaluation.contributions import Case
from bonafide.evaluation.gallery import Tile
from bonafide.evaluation.gate import Verdict, decide
from bonafide.evaluation.importance import Importance
from bonafide.evaluation.intervals import Interval
from bonafide.evaluation.measure import measure
from bonafide.evaluation.metrics import Certainty, Metrics
from bonafide.evaluation.report import evaluation_html, gate_html
from bonafide.evaluation.robustness import Degraded
from bonafide.feedback.inspections import Past
from bonafide.feedback.spool import Spool
from bonafide.feedback.store import Store
from bonafide.feedback.writer import Writer
from bonafide.modality import NOUNS, arm
from bonafide.model.package import PackageInfo
from bonafide.monitoring.decide import Situation
from bonafide.monitoring.decide import decide as decide_training
from bonafide.monitoring.quality import Quality
from bonafide.serving.api.app import create_app
from bonafide.serving.api.settings import Settings
from bonafide.serving.api.topic import Topic
from bonafide.source import FolderSource, RowsSource
from bonafide.task import Task, load_task
from bonafide.telemetry import metrics as telemetry

TASKS = {path.stem: load_task(str(path)) for path in Path("tasks").glob("*.yaml")}
ALERTS = Path("infra/monitoring/alerts/rules.yml")
NOW = datetime(2026, 11, 29, tzinfo=UTC)
SEED, PER_LABEL = 1, 24

OF = {
    "image": r"images?|pictures?|photo(graph)?s?|pixels?|generators?|heat ?maps?|JPEG|blurring|robustness",
    "table": r"rows?|columns?|features?",
}
"""By modality, what is said of its inputs and of no others."""


class Made(NamedTuple):
    """What the steps found out about a task, as its reports are made from."""

    folder: Path
    task: Task
    validation: str
    dataset: DatasetInfo
    package: PackageInfo
    metrics: Metrics
    comparison: Comparison
    verdict: Verdict


class Text(HTMLParser):
    """What people read, see described or hear of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.said: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.said += [value or "" for name, value in attrs if name in ("alt", "aria-label", "title")]

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("style", "script"):
            self.said.append(data)


def read(page: str) -> str:
    return "\n".join(Text(page).said) if page.startswith("<!doctype") else page


def own(task: Task) -> str:
    """All that a task's file says for people."""
    return f"{task.title} {task.groups} {task.labels} {task.features} {task.card}"


def foreign(task: Task, page: str) -> set[str]:
    """On a page the names, titles and labels of other tasks, and what inputs of another kind are called."""
    others = [other for other in TASKS.values() if other.name != task.name]
    theirs = {word for other in others for word in (other.name, other.title, *other.labels)} - {task.name}
    theirs = {word for word in theirs if not re.search(rf"\b{re.escape(word)}\b", own(task), re.IGNORECASE)}
    patterns = [*map(re.escape, theirs), *(words for kind, words in OF.items() if kind != task.modality)]
    found = (re.finditer(rf"(?<![\w-])(?:{each})(?![\w-])", read(page), re.IGNORECASE) for each in patterns)
    return {match[0].lower() for matches in found for match in matches}


@pytest.fixture(scope="module", params=TASKS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    task, folder = TASKS[request.param], tmp_path_factory.mktemp(request.param)
    source = written(task, folder / "data")
    read_by = arm(task.modality, "read")
    dataset = read_by((source,), task.labels, folder / "dataset", SEED, task.features)
    validate(folder / "dataset", folder / "validation", task.validation, SEED, task.title)
    probabilities, truth = answers(task)
    groups = np.arange(len(truth))
    measured = measure(truth, probabilities, task.labels, groups, 100, SEED, noun=NOUNS[task.modality])
    better, worse = probabilities, np.roll(probabilities, 1, 0)
    comparison = compare_answers(truth, better, worse, "3", groups, 100, SEED)
    return Made(
        folder=folder,
        task=task,
        validation=(folder / "validation" / VALIDATION_REPORT).read_text(),
        dataset=dataset.model_copy(update={"excluded": {"duplicate": 2}}),
        package=described(task),
        metrics=measured,
        comparison=comparison,
        verdict=decide(measured, comparison, task.gate, shown(task).robustness),
    )


def written(task: Task, folder: Path) -> FolderSource | RowsSource:
    """A source with inputs of each label, of which one is there twice and one is damaged."""
    folder.mkdir()
    write = {"image": _pictures, "table": _rows}[task.modality]
    return write(task, folder, np.random.default_rng(SEED))


def _pictures(task: Task, folder: Path, random: np.random.Generator) -> FolderSource:
    for label, number in product(task.labels, range(PER_LABEL)):
        (folder / label).mkdir(exist_ok=True)
        picture = Image.fromarray(random.integers(0, 256, (40, 40, 3), np.uint8))
        for name in (f"{number}.png", "again.png")[: 2 if number == 0 else 1]:
            picture.save(folder / label / name)
    (folder / task.labels[0] / "damaged.png").write_bytes(b"damaged")
    return FolderSource(path=str(folder))


def _rows(task: Task, folder: Path, random: np.random.Generator) -> RowsSource:
    rows = [[*_values(task, random), label] for label, _ in product(task.labels, range(PER_LABEL))]
    damaged = [*[""] * len(task.features), task.labels[0]]
    head = [*(feature.name for feature in task.features), "label"]
    lines = [",".join(map(str, row)) for row in (head, *rows, rows[0], damaged)]
    (folder / "rows.csv").write_text("\n".join(lines))
    return RowsSource(path=str(folder / "rows.csv"))


def _values(task: Task, random: np.random.Generator) -> list[float]:
    """A number in each column's range."""
    lows = (-9.0 if each.low is None else each.low for each in task.features)
    highs = (9.0 if each.high is None else each.high for each in task.features)
    drawn = random.uniform([*lows], [*highs])
    whole = [each.whole for each in task.features]
    return np.where(whole, np.ceil(drawn), drawn).tolist()


def answers(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [N, K] and truth [N], of which most are right and each label is missed once."""
    count = len(task.labels)
    truth = np.repeat(np.arange(count), PER_LABEL)
    said = np.where(np.arange(len(truth)) % PER_LABEL == 0, (truth + 1) % count, truth)
    random = np.random.default_rng(SEED)
    found = random.uniform(0.1, 0.2, (len(truth), count))
    found[np.arange(len(truth)), said] += random.uniform(1, 3, len(truth))
    return (found / found.sum(1, keepdims=True)).astype(np.float32), truth


def described(task: Task) -> PackageInfo:
    takes = {"image": {"size": 64}, "table": {"features": task.features}}[task.modality]
    return PackageInfo(
        task=task.name,
        labels=task.labels,
        architecture=task.model.architecture,
        input={"modality": task.modality, **takes},
        temperature=1.25,
        decision={"thresholds": dict.fromkeys(task.labels, 0.4)},
        embedding_size=8,
        heatmap_size={"image": (8, 8), "table": None}[task.modality],
        metrics={},
        data_digest="d" * 64,
        code_version="0.1.0",
        created="2026-01-01T00:00:00Z",
    )


class Shown(NamedTuple):
    """What an evaluation shows beside its figures."""

    robustness: tuple[Degraded, ...] = ()
    tiles: tuple[Tile, ...] = ()
    importance: tuple[Importance, ...] = ()
    cases: tuple[Case, ...] = ()


def shown(task: Task) -> Shown:
    first, second = task.labels[:2]
    if task.modality == "image":
        picture, heat = np.zeros((8, 8, 3), np.uint8), np.ones((2, 2), np.float32)
        tiles = tuple(Tile(picture, heat, first, said, 0.9, "") for said in (first, second))
        return Shown((Degraded(name="blur", level=2, accuracy=0.5, n=24),), tiles)
    numbers = {feature.name: 1.0 for feature in task.features}
    cases = tuple(Case(numbers, numbers, first, said, 0.9) for said in (first, second))
    importance = tuple(Importance(column=name, lost=0.1, spread=0.01) for name in numbers)
    return Shown(importance=importance, cases=cases)


CERTAINTY = Certainty(
    uncertain=Interval(value=0.1, low=0.05, high=0.2),
    accuracy_of_certain=Interval(value=0.9, low=0.8, high=0.95),
)


def evaluation_page(made: Made) -> str:
    beside = shown(made.task)._asdict()
    groups = {"groups_are": made.task.groups, "certainty": CERTAINTY}
    return evaluation_html(made.task.title, made.metrics, **groups, **beside)


def card(made: Made) -> str:
    beside = shown(made.task)
    facts = CardFacts(
        task=made.task,
        dataset=made.dataset,
        package=made.package,
        metrics=made.metrics,
        certainty=CERTAINTY,
        verdict=made.verdict,
        comparison=made.comparison,
        robustness=beside.robustness,
        importance=beside.importance,
        groups_are=made.task.groups,
        latency_ms=1.5,
    )
    return model_card(facts)


def refused_page(made: Made) -> str:
    """A verdict where nothing was measured well enough."""
    least = {"minimum_per_label": 999, "minimum_groups": 999, "accuracy": 1.0}
    strict = made.task.gate.model_copy(update=least | {"ece": 0.0, "latency_ms": 1.0})
    verdict = decide(made.metrics, Comparison(n=made.metrics.n), strict, shown(made.task).robustness)
    return gate_html(verdict, made.task.title)


def drift_page(made: Made) -> str:
    probabilities, truth = answers(made.task)
    random = np.random.default_rng(SEED)
    names = ("width", "height") if made.task.modality == "image" else made.package.columns
    ours, theirs = (
        {"probabilities": probabilities[order], "embedding": random.normal(size=(len(truth), 3))}
        | {name: random.uniform(size=(len(truth), 1)) for name in names}
        for order in (np.arange(len(truth)), random.permutation(len(truth)))
    )
    known = Known(probabilities, truth, np.arange(len(truth)))
    both = Sides(known, made.task.labels, ours, theirs, (), SEED)
    told = {name: Answer([0.5], [0.1]) for name in ("mmd", "ks", "uncertainty", "labels", *names)}
    settings = made.task.drift
    return drift_html(inspected(made, judge(both, told, settings)), both, settings)


def inspected(made: Made, judgement: Judgement) -> Found:
    return Found(
        task=made.task.name,
        version="3",
        model_digest="m",
        created=NOW.isoformat(),
        alpha=0.05,
        begin=1.0,
        end=2.0,
        predictions=900,
        compared=800,
        reference=500,
        judgement=judgement,
    )


def few_page(made: Made) -> str:
    return drift_html(inspected(made, Judgement(kind="too-few")), None, made.task.drift)


def training_decisions(made: Made) -> str:
    """Why training begins or not, in each situation that is told of."""
    kinds = ("none", "mix", "looks", "too-few")
    qualities = (Quality(reviewed=90, accuracy=made.metrics.ece), Quality(reviewed=0, accuracy=None))
    situations = (
        Situation(inspected(made, Judgement(kind=kind)), quality, 0.85, data, NOW, Past(), NOW)
        for kind, quality, data in product(kinds, qualities, ("d", ""))
    )
    return "\n".join(decide_training(seen, made.task.monitoring)[1] for seen in situations)


class Nobody:
    """A predictor that is never asked."""

    async def close(self) -> None:
        pass


def api_document(made: Made) -> str:
    """Of the service API with all its paths."""
    task = made.task
    writer = Writer(Store(f"sqlite:///{made.folder}/store.db"), Spool(made.folder / "spool"), dict)
    topic = Topic(task.name, task.labels, task.modality, task.features)
    app = create_app(Nobody(), Settings(), topic, engine="", writer=writer)
    return json.dumps(app.openapi(), indent=1, ensure_ascii=False)


def metadata(made: Made) -> str:
    return json.dumps(arm(made.task.modality, "question").tensors(made.package), indent=1)


def exposition(_: Made) -> str:
    lines = telemetry.exposed("")[0].decode().splitlines()
    return "\n".join(line for line in lines if line.startswith("#"))  # samples are of other tests


def alerts(_: Made) -> str:
    """What people are told by the alerts, whatever the task."""
    rules = [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]
    return "\n".join(text for rule in rules for text in rule.get("annotations", {}).values())


def console(made: Made) -> str:
    """What `bonafide demo` prints."""
    answer = {"name": "7", "truth": made.task.labels[0], "label": made.task.labels[1]}
    summary = {
        "dataset": made.dataset.model_dump(),
        "metrics": made.metrics.model_dump(mode="json"),
        "gate": made.verdict.model_dump(mode="json"),
        "predictions": [answer | {"probabilities": {made.task.labels[1]: 0.9}}],
    }
    stream = io.StringIO()
    terminal = Console(file=stream, width=200)
    outcome.print_summary(terminal, summary)
    outcome.print_predictions(terminal, summary, "3", "http://127.0.0.1:1")
    return stream.getvalue()


PAGES: dict[str, Callable[[Made], str]] = {
    "validation report": lambda made: made.validation,
    "evaluation report": evaluation_page,
    "gate report": lambda made: gate_html(made.verdict, made.task.title),
    "gate report of a refusal": refused_page,
    "model card": card,
    "drift report": drift_page,
    "drift report of too few": few_page,
    "decision on training": training_decisions,
    "document of the service API": api_document,
    "metadata of the v2 protocol": metadata,
    "metrics": exposition,
    "alerts": alerts,
    "console": console,
}


@pytest.mark.parametrize("page", PAGES)
def test_no_page_has_words_of_another_task(made: Made, page: str) -> None:
    found = foreign(made.task, PAGES[page](made))
    assert not found


@pytest.mark.parametrize(
    "page", ["validation report", "evaluation report", "gate report", "model card", "console"]
)
def test_inputs_are_called_what_they_are(made: Made, page: str) -> None:
    assert re.search(rf"\b{NOUNS[made.task.modality]}s?\b", read(PAGES[page](made)))


@pytest.mark.parametrize("page", ["validation report", "evaluation report", "gate report", "model card"])
def test_reports_bear_the_title_of_the_task(made: Made, page: str) -> None:
    assert made.task.title in read(PAGES[page](made))


def test_foreign_words_are_found() -> None:
    """Of other tasks and of another modality, in a page's text, but not in its markup."""
    page = '<!doctype html><p class="row">A row of iris, <b>setosa</b>.<img src="row" alt="its columns"></p>'
    assert foreign(TASKS["authenticity"], page) == {"row", "iris", "setosa", "columns"}
    assert foreign(TASKS["iris"], "An image of cifake, as AI-generated") == {
        "image",
        "cifake",
        "ai-generated",
    }
    assert not foreign(TASKS["iris"], page)
