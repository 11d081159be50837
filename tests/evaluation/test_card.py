import re
from dataclasses import replace

import numpy as np
import pytest
import yaml

from bonafide.data.dataset import DatasetInfo, Origin
from bonafide.evaluation.card import CardFacts, model_card
from bonafide.evaluation.compare import Comparison, compare_answers
from bonafide.evaluation.gate import decide
from bonafide.evaluation.intervals import Interval
from bonafide.evaluation.measure import measure
from bonafide.evaluation.metrics import Certainty
from bonafide.evaluation.report import evaluation_html
from bonafide.evaluation.robustness import Degraded
from bonafide.model.decision import Decision
from bonafide.model.info import Pretrained
from bonafide.model.package import PackageInfo
from bonafide.source import FolderSource
from bonafide.task import Card, Task, load_task

LABELS = ("real", "ai-generated", "deepfake")
SHARE = Interval(value=0.125, low=0.1, high=0.15)


def facts(metrics, **changes):
    task = Task(name="authenticity", title="Authenticity", labels=LABELS)
    robustness = [Degraded(name="blur", level=2, accuracy=0.4, n=240)]
    known = {
        "task": task,
        "dataset": DatasetInfo(
            labels=LABELS,
            counts={"train": dict.fromkeys(LABELS, 500), "test": dict.fromkeys(LABELS, 80)},
            sources={"skimage/coffee|cup": 1740},
            generators={"seen": 700, "unseen": 80},
            digest="d" * 64,
            seed=42,
            origins=(
                Origin(kind="huggingface", name="owner/set", digest="c" * 40),
                Origin(kind="sample", name="sample", digest=""),
            ),
        ),
        "package": PackageInfo(
            task=task.name,
            labels=LABELS,
            architecture="forensic_cnn",
            input={"modality": "image", "size": 64},
            temperature=1.25,
            decision={"thresholds": dict.fromkeys(LABELS, 0.4)},
            embedding_size=32,
            heatmap_size=(8, 8),
            metrics={},
            data_digest="d" * 64,
            code_version="0.1.0",
            run_id="run-1",
            created="2026-01-01T00:00:00Z",
        ),
        "metrics": metrics,
        "certainty": Certainty(uncertain=SHARE, accuracy_of_certain=SHARE),
        "verdict": decide(metrics, Comparison(n=metrics.n), task.gate, robustness),
        "robustness": robustness,
        "unseen": {"unseen"},
    }
    return CardFacts(**known | changes)


@pytest.fixture(scope="module")
def card(measured):
    return model_card(facts(measured))


def test_it_says_what_training_began_from(card, measured):
    assert "Training began from random weights.\n" in card
    assert "weights_digest" not in card
    package = facts(measured).package
    for licence, said in (("Apache-2.0", "Apache-2.0"), (None, "not stated")):
        known = Pretrained(source="a|file.pth", digest="e" * 64, licence=licence)
        began = model_card(facts(measured, package=package.model_copy(update={"pretrained": known})))
        sentence = f"Training began from the weights of a\\|file.pth: licence {said}, SHA-256 `{'e' * 64}`.\n"
        assert sentence in began
        assert "random weights" not in began


def test_front_matter_is_what_the_hub_reads(card, measured):
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["license"] == "apache-2.0"
    result = front["model-index"][0]["results"][0]
    assert result["dataset"]["revision"] == "d" * 64
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert values["accuracy"] == round(measured.accuracy.value, 4)
    assert values["roc_auc"] == round(measured.auroc.value, 4)


def test_uncertain_answers_are_told(card):
    assert "0.125 (0.100 to 0.150) of the answers are uncertain" in card


def test_sections_of_the_hugging_face_template(card):
    headings = re.findall(r"^##+ (.+)$", card, re.M)
    assert [heading for heading in headings if heading != "By generator"] == [
        "Model details",
        "Uses",
        "Direct use",
        "Out-of-scope use",
        "Bias, risks and limitations",
        "Known failures",
        "How to get started",
        "Training details",
        "Training data",
        "Training procedure",
        "Evaluation",
        "Robustness",
        "Calibration",
        "Gate verdict",
    ]


def test_figures_are_the_measured_ones(card, measured):
    assert f"| Macro F1 | {measured.macro_f1.value:.3f} |" in card
    assert f"recall {min(measured.labels.values(), key=lambda each: each.recall.value).recall}" in card
    unseen = measured.slices["generator"]["unseen"]
    groups = f"{unseen.groups} ({unseen.effective_groups:.1f})"
    assert f"| unseen (**never seen in training**) | {unseen.n} | {groups} | {unseen.accuracy} |" in card
    assert f"| blur σ 2 | 0.400 | {0.4 - measured.accuracy.value:+.3f} |" in card
    assert "Temperature 1.250" in card
    assert "accuracy falls from" in card


def test_every_table_is_whole(card):
    for block in re.findall(r"(?:^\|.*\n)+", card, re.M):
        rows = [re.sub(r"\\\|", "", row).count("|") for row in block.splitlines()]
        assert len(rows) >= 2
        assert len(set(rows)) == 1, block
        assert re.fullmatch(r"[|:\- ]+", block.splitlines()[1]), block
    assert not re.search(r"\n\n\n\n", card)


def test_a_source_is_told_with_the_commit_that_was_read(card):
    assert card.count("was read at") == 1
    assert f"owner/set was read at `{'c' * 40}`." in card


def test_names_are_escaped(card):
    assert r"skimage/coffee\|cup" in card


def test_what_a_group_is_stands_as_a_sentence_among_sentences(measured):
    card = model_card(facts(measured, groups_are=load_task("authenticity").groups))
    assert "are alike. A group is a region of a photograph" in card
    assert "stay in one split. A value that rests" in card
    assert "in one split only. A group is a region of a photograph" in card


def test_limits_follow_the_facts(card, measured):
    assert "say nothing about the world" in card
    assert "**Not promoted.**" in card
    own = Task(name="own", title="Own", labels=LABELS, source=FolderSource(path="images"))
    card = model_card(facts(measured, task=own))
    assert "say nothing about the world" not in card


def test_the_task_says_what_it_is_for(measured):
    told = Card(
        intended_use="Sorts pets.",
        out_of_scope=("Not for wolves.",),
        limitations=("It has seen | few breeds.",),
        tags=("pets",),
    )
    task = Task(name="own", title="Own", labels=LABELS, card=told)
    card = model_card(facts(measured, task=task, groups_are="A group is one animal."))
    for text in (
        "Sorts pets.",
        "- Not for wolves.",
        r"- It has seen \| few breeds.",
        "A group is one animal.",
    ):
        assert text in card
    assert "pets" in yaml.safe_load(card.split("---\n")[1])["tags"]
    assert "Not stated." in model_card(facts(measured))


def test_no_word_of_the_flagship_stands_on_the_card_of_another_task(make_answers):
    truth, probabilities = make_answers()
    slices = {"source": ["shelter" if index % 2 else "street" for index in truth]}
    metrics = measure(truth, probabilities, ("cat", "dog", "bird"), np.arange(240) // 8, 100, 0, slices)
    task = Task(name="pets", title="Pets", labels=("cat", "dog", "bird"))
    dataset = DatasetInfo(
        labels=task.labels,
        counts={"test": dict.fromkeys(task.labels, 80)},
        sources={"shelter": 160, "street": 80},
        generators={},
        digest="d" * 64,
        seed=42,
    )
    known = facts(metrics, task=task, dataset=dataset, unseen=set())
    package = known.package.model_copy(
        update={"labels": task.labels, "decision": Decision(thresholds=dict.fromkeys(task.labels, 0.4))}
    )
    card = model_card(replace(known, package=package))
    page = evaluation_html("Pets", metrics)
    foreign = re.compile(
        r"\b(real|fakes?|photographs?|authentic\w*|ai-generated\w*|deepfakes?|forger\w*)\b", re.I
    )
    assert not foreign.findall(card)
    assert not foreign.findall(re.sub(r'data:[^"]+', "", page))


def test_the_champion_is_told(measured, make_answers):
    truth, probabilities = make_answers()
    comparison = compare_answers(truth, probabilities, probabilities, "7", np.arange(240), 100, 0)
    assert "Against champion 7" in model_card(facts(measured, comparison=comparison))
    assert "There was no champion" in model_card(facts(measured))


def test_an_undefined_measure_is_left_out_of_the_front_matter():
    probabilities = np.tile(np.array([0.8, 0.1, 0.1], np.float32), (4, 1))
    metrics = measure(np.zeros(4, np.int64), probabilities, LABELS, np.arange(4), 100, 0)
    card = model_card(facts(metrics))
    front = yaml.safe_load(card.split("---\n")[1])
    kinds = [metric["type"] for metric in front["model-index"][0]["results"][0]["metrics"]]
    assert "roc_auc" not in kinds
    assert "nan" not in card.lower().split()
