import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonafide.errors import DataError
from bonafide.evaluation.compare import Comparison, read_comparison
from bonafide.evaluation.evaluate import read_measured
from bonafide.evaluation.gate import GATE_REPORT, VERDICT, Verdict, decide, read_verdict
from bonafide.evaluation.gate import gate as judge
from bonafide.evaluation.intervals import Interval
from bonafide.evaluation.measure import measure
from bonafide.evaluation.metrics import LabelMetrics
from bonafide.evaluation.report import gate_html
from bonafide.evaluation.robustness import Degraded
from bonafide.model.latency import Latency
from bonafide.task import Gate

NONE = Gate(accuracy=0.0, macro_f1=0.0)
QUICK = Latency(median=12.5, low=12, high=14)
FIRST = Comparison(n=100, latency=QUICK)
EVERY = Gate(
    accuracy=0.8,
    macro_f1=0.8,
    recall={"deepfake": 0.8},
    f1={"real": 0.8},
    ece=0.1,
    robustness=0.7,
    latency_ms=20,
    non_inferiority_margin=0.02,
)


def interval(value, half=0.02):
    return Interval(value=value, low=value - half, high=value + half)


def scored(measured, accuracy=0.9, macro_f1=0.9, recall=0.9, f1=0.9, ece=0.05):
    def label(name):
        return LabelMetrics(
            precision=interval(0.9),
            recall=interval(recall),
            f1=interval(f1),
            support=measured.labels[name].support,
            groups=measured.labels[name].groups,
            effective_groups=measured.labels[name].effective_groups,
        )

    return measured.model_copy(
        update={
            "accuracy": interval(accuracy),
            "macro_f1": interval(macro_f1),
            "ece": interval(ece),
            "labels": {name: label(name) for name in measured.labels},
        }
    )


def under(*accuracies):
    return [Degraded(name="blur", level=i + 1, accuracy=each, n=10) for i, each in enumerate(accuracies)]


def against(value, low, champion="7", milliseconds=12.5):
    difference = Interval(value=value, low=low, high=value + 0.02)
    latency = Latency(median=milliseconds, low=milliseconds, high=milliseconds)
    return Comparison(
        n=100, champion=champion, accuracy_difference=difference, disagreement=0.1, latency=latency
    )


def test_a_good_model_keeps_every_check(measured):
    verdict = decide(scored(measured), against(0.01, -0.01), EVERY, under(0.8, 0.75))
    assert verdict.promote
    assert verdict.champion == "7"
    assert [check.name for check in verdict.checks] == [
        "test groups",
        "test images of real",
        "accuracy",
        "macro F1",
        "recall of deepfake",
        "F1 of real",
        "ECE",
        "latency",
        "accuracy under blur σ 2",
        "not worse than the champion",
    ]


BAD = {
    "accuracy": ({"accuracy": 0.79}, {}),
    "macro F1": ({"macro_f1": 0.79}, {}),
    "recall of deepfake": ({"recall": 0.79}, {}),
    "F1 of real": ({"f1": 0.79}, {}),
    "ECE": ({"ece": 0.11}, {}),
    "latency": ({}, {"comparison": against(0.0, -0.02, milliseconds=20.1)}),
    "accuracy under blur σ 2": ({}, {"robustness": under(0.8, 0.69)}),
    "not worse than the champion": ({}, {"comparison": against(0.0, -0.021)}),
}

BROKEN = {
    "latency": {"comparison": against(0.0, -0.02, milliseconds=math.nan)},
    "accuracy under blur σ 2": {"robustness": under(0.8, math.nan)},
    "not worse than the champion": {"comparison": against(math.nan, math.nan)},
}


@pytest.mark.parametrize("broken", [False, True], ids=["bad", "not a number"])
@pytest.mark.parametrize("name", BAD)
def test_each_check_refuses_alone(measured, name, broken):
    scores, rest = BAD[name]
    if broken:
        scores = dict.fromkeys(scores, math.nan)
        rest = BROKEN.get(name, rest)
    good = {"comparison": against(0.0, -0.02, milliseconds=20), "robustness": under(0.8, 0.7)}
    verdict = decide(scored(measured, **scores), config=EVERY, **(good | rest))
    assert not verdict.promote
    assert [check.name for check in verdict.checks if not check.passed] == [name]


def test_the_bounds_themselves_pass(measured):
    metrics = scored(measured, 0.8, 0.8, 0.8, 0.8, 0.1)
    assert decide(metrics, against(0.0, -0.02, milliseconds=20), EVERY, under(0.7)).promote


def test_what_was_not_measured_does_not_pass(measured):
    verdict = decide(scored(measured), Comparison(n=9, champion="7"), EVERY, [])
    failed = {check.name: check for check in verdict.checks if not check.passed}
    assert list(failed) == ["latency", "accuracy when degraded", "not worse than the champion"]
    assert all(check.measured is None for check in failed.values())
    assert "not compared" in failed["not worse than the champion"].why


def test_a_label_without_images_does_not_pass(measured):
    labels = measured.labels | {"deepfake": measured.labels["deepfake"].model_copy(update={"support": 0})}
    metrics = measured.model_copy(update={"labels": labels})
    verdict = decide(metrics, FIRST, NONE.model_copy(update={"recall": {"deepfake": 0.0}}), [])
    failed = [check.name for check in verdict.checks if not check.passed]
    assert failed == ["test images of deepfake", "recall of deepfake"]


def test_twelve_right_images_do_not_pass():
    truth = np.arange(12) % 2
    metrics = measure(truth, np.eye(2, dtype=np.float32)[truth], ("a", "b"), np.arange(12), 100, 0)
    verdict = decide(metrics, Comparison(n=12), Gate(), [])
    assert not verdict.promote
    (refused,) = (check for check in verdict.checks if not check.passed)
    assert refused.why == "There are 6 test images of a, too few to judge by: at least 50 are required."


@pytest.mark.parametrize(("groups", "passes"), [(7, False), (8, True)])
def test_many_right_images_of_few_groups_do_not_pass(groups, passes):
    truth = np.arange(400) // groups % 2
    metrics = measure(truth, np.eye(2, dtype=np.float32)[truth], ("a", "b"), np.arange(400) % groups, 100, 0)
    verdict = decide(metrics, Comparison(n=400), Gate(), [])
    assert verdict.promote is passes
    assert verdict.checks[0].name == "test groups"
    assert f"There are {groups} test groups" in verdict.checks[0].why
    assert f'<td class="n"><b>{groups} equal groups</b></td>' in gate_html(verdict, "T")
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_many_groups_of_which_one_holds_nearly_all_images_are_too_few():
    groups = np.array([0] * 900 + [1 + index % 13 for index in range(21)])
    truth = np.arange(921) % 2
    metrics = measure(truth, np.eye(2, dtype=np.float32)[truth], ("a", "b"), groups, 100, 0)
    check = decide(metrics, Comparison(n=921), Gate(), []).checks[0]
    assert not check.passed
    assert (check.measured, check.required) == (1.0, "at least 8 equal groups")
    assert check.why == (
        "There are 14 test groups, which say as much as 1.0 equal ones, too few to judge by: "
        "at least 8 are required."
    )


def test_the_label_with_the_fewest_images_is_counted():
    truth = np.array([0] * 200 + [1] * 49)
    metrics = measure(truth, np.eye(2, dtype=np.float32)[truth], ("a", "b"), np.arange(249), 100, 0)
    names = [check.name for check in decide(metrics, FIRST, Gate(), []).checks if not check.passed]
    assert names == ["test images of b"]


def test_a_value_over_too_few_groups_does_not_pass_a_floor(measured):
    loose = Interval(value=0.95, low=math.nan, high=math.nan)
    metrics = scored(measured).model_copy(update={"macro_f1": loose})
    (refused,) = (check for check in decide(metrics, FIRST, Gate(), []).checks if not check.passed)
    assert (refused.name, refused.measured, refused.interval) == ("macro F1", 0.95, None)
    assert "rests on groups that say less than 5 equal ones" in refused.why


def test_a_comparison_over_too_few_groups_is_refused(measured):
    verdict = decide(scored(measured), against(0.1, math.nan), Gate(), [])
    (refused,) = (check for check in verdict.checks if not check.passed)
    assert refused.name == "not worse than the champion"
    assert "rests on groups that say less than 5 equal ones" in refused.why


def test_the_comparison_names_its_groups(measured):
    check = decide(scored(measured), against(0.0, -0.005), Gate(), []).checks[-1]
    assert "its interval over 40 groups starts at -0.005" in check.why


def test_a_first_model_passes_the_comparison_and_says_why(measured):
    check = decide(scored(measured), FIRST, Gate(), []).checks[-1]
    assert check.passed
    assert check.measured is None
    assert "no champion yet" in check.why


def test_reasons_are_sentences_with_the_numbers(measured):
    low = decide(scored(measured, accuracy=0.8), FIRST, Gate(accuracy=0.85), []).checks[2]
    assert low.why == "The accuracy of 0.8 is 0.05 below the floor of 0.85."
    assert low.interval == pytest.approx((0.78, 0.82))
    close = decide(scored(measured, accuracy=0.86), FIRST, Gate(accuracy=0.85), []).checks[2]
    assert "reaches down to 0.840" in close.why


def test_json_and_back(measured):
    verdict = decide(scored(measured, recall=math.nan), against(0.0, -0.5), EVERY, under(0.1))
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


unit = st.floats(0, 1)
loss = st.floats(0, 1)
inputs = st.tuples(*[unit] * 7, st.floats(-1, 1), st.floats(0, 50))
losses = st.tuples(*[loss] * 9)


@given(good=inputs, worse=losses, champion=st.booleans())
def test_worse_never_turns_a_refusal_into_a_promotion(measured, good, worse, champion):
    def verdict(accuracy, macro_f1, recall, f1, ece, mild, strong, difference, latency):
        comparison = against(difference, difference - 0.01, "7" if champion else None, latency)
        metrics = scored(measured, accuracy, macro_f1, recall, f1, ece)
        return decide(metrics, comparison, EVERY, under(mild, strong))

    grows = {4, 8}
    after = [
        value + lost if index in grows else value - lost
        for index, (value, lost) in enumerate(zip(good, worse, strict=True))
    ]
    before = verdict(*good)
    for index in range(9):
        one_worse = [after[i] if i == index else good[i] for i in range(9)]
        assert before.promote or not verdict(*one_worse).promote
    assert before.promote or not verdict(*after).promote


def test_the_verdict_is_what_the_gate_decides_on_the_files(made):
    measured = read_measured(made.evaluation)
    expected = decide(
        measured.metrics,
        read_comparison(made.comparison),
        made.task.gate,
        measured.robustness,
    )
    assert read_verdict(made.gate) == expected
    assert json.loads((made.gate / VERDICT).read_text())["promote"] is True
    assert sorted(path.name for path in made.gate.iterdir()) == sorted([VERDICT, GATE_REPORT])


@pytest.mark.parametrize(
    ("stricter", "failed"),
    [
        ({"accuracy": 1.0}, "accuracy"),
        ({"macro_f1": 1.0}, "macro F1"),
        ({"latency_ms": 1e-6}, "latency"),
        ({"minimum_groups": 100}, "test groups"),
    ],
)
def test_a_refusal_names_what_failed(made, tmp_path, stricter, failed):
    gate = made.task.gate.model_copy(update=stricter)
    verdict = judge(made.evaluation, made.comparison, tmp_path / "gate", gate)
    assert not verdict.promote
    assert [check.name for check in verdict.checks if not check.passed] == [failed]
    (why,) = (check.why for check in verdict.checks if not check.passed)
    page = (tmp_path / "gate" / GATE_REPORT).read_text()
    assert failed in page
    assert why.split(" is ")[0] in page


def test_latency_is_a_median_with_its_spread(made):
    (check,) = (check for check in read_verdict(made.gate).checks if check.name == "latency")
    latency = read_comparison(made.comparison).latency
    assert check.measured == latency.median
    assert (check.spread, check.interval, check.unit) == ((latency.low, latency.high), None, "ms")


def test_the_page_calls_a_spread_a_spread_and_names_its_unit(measured):
    comparison = Comparison(n=100, latency=Latency(median=12.5, low=12, high=14))
    page = gate_html(decide(scored(measured), comparison, Gate(latency_ms=20), []), "T")
    assert "<b>12.5 ms</b>" in page
    assert "spread 12 – 14 ms" in page


@pytest.mark.parametrize("digest", ["model_digest", "data_digest"])
def test_a_comparison_of_another_model_or_other_data_is_refused(made, tmp_path, digest):
    comparison = tmp_path / "comparison.json"
    content = json.loads((made.comparison / "comparison.json").read_text()) | {digest: "0" * 64}
    comparison.write_text(json.dumps(content))
    with pytest.raises(DataError, match="compare again"):
        judge(made.evaluation, tmp_path, tmp_path / "gate", made.task.gate)
    assert not (tmp_path / "gate").exists()
