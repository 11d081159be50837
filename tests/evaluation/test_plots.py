import base64
import math
import subprocess
import sys
from xml.etree import ElementTree

import pytest

from bonafide.evaluation import plots
from bonafide.evaluation.intervals import Interval
from bonafide.evaluation.metrics import SliceMetrics
from bonafide.evaluation.robustness import Degraded

PREFIX = "data:image/svg+xml;base64,"


def texts(uri):
    assert uri.startswith(PREFIX)
    root = ElementTree.fromstring(base64.b64decode(uri.removeprefix(PREFIX)))
    return ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]


def test_confusion_matrix_tells_counts_and_labels(measured):
    found = texts(plots.confusion_matrix(measured))
    assert {"real", "ai-generated", "deepfake", "truth", "answered"} <= set(found)
    for count in {str(count) for row in measured.confusion for count in row}:
        assert count in found


def test_intervals_tell_values_and_mark_the_unseen(measured):
    found = texts(plots.slice_accuracy(measured.slices["generator"], unseen={"unseen"}))
    assert {"unseen (unseen)", "seen"} <= set(found)
    assert f"{measured.slices['generator']['seen'].accuracy.value:.3f}" in found
    assert f"{measured.labels['real'].f1.value:.3f}" in texts(plots.label_f1(measured.labels))


def test_a_value_without_an_interval_says_why():
    alone = Interval(value=0.75, low=math.nan, high=math.nan)
    found = SliceMetrics(n=4, groups=1, accuracy=alone, binary_accuracy=alone, recall={})
    assert "0.750, too few groups" in texts(plots.slice_accuracy({"one": found}))


def test_reliability_diagram(measured):
    assert {"perfectly calibrated", "confidence of the answer"} <= set(
        texts(plots.reliability_diagram(measured))
    )


@pytest.mark.parametrize(
    "history",
    [
        [{"epoch": 1, "train_loss": 1.0, "val_accuracy": 0.5}, {"epoch": 2, "train_loss": math.nan}],
        [{"train_loss": 1.0}],
        [],
    ],
)
def test_training_curves_take_gaps_and_short_histories(history):
    found = texts(plots.training_curves(history))
    assert "epoch" in found
    assert ("train loss" in found) == bool(history)


def test_robustness_bars():
    results = [
        Degraded(name="blur", level=1, accuracy=0.5, n=3),
        Degraded(name="jpeg", level=30, accuracy=None, n=3),
    ]
    assert {"blur σ 1", "0.500", "undegraded 0.900", "–"} <= set(texts(plots.robustness_bars(results, 0.9)))


def test_hostile_names_are_drawn_as_they_stand(measured):
    name = "<script>alert(1)</script> $x_$ &"
    assert name in texts(plots.slice_accuracy({name: measured.slices["generator"]["seen"]}))


def test_colours_follow_the_readers_setting_and_bytes_repeat(measured):
    uri = plots.label_f1(measured.labels)
    drawing = base64.b64decode(uri.removeprefix(PREFIX)).decode()
    assert "prefers-color-scheme:dark" in drawing
    assert "fill: var(--c0)" in drawing
    assert uri == plots.label_f1(measured.labels)


def test_no_global_figures_and_no_display():
    code = "import sys, bonafide.evaluation.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
