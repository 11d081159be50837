import base64
import math
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from bonafide.evaluation import plots
from bonafide.evaluation.intervals import Interval
from bonafide.evaluation.metrics import SliceMetrics
from bonafide.evaluation.robustness import Degraded

PREFIX = "data:image/svg+xml;base64,"
SVG = "{http://www.w3.org/2000/svg}"


def texts(uri):
    assert uri.startswith(PREFIX)
    root = ElementTree.fromstring(base64.b64decode(uri.removeprefix(PREFIX)))
    return ["".join(each.itertext()) for each in root.iter(f"{SVG}text")]


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
    found = SliceMetrics(n=4, groups=1, effective_groups=1, accuracy=alone, binary_accuracy=alone, recall={})
    assert "0.750, too few groups" in texts(plots.slice_accuracy({"one": found}))


def test_the_plot_of_a_slice_has_the_order_of_its_table(measured):
    best, worst = (
        measured.slices["generator"]["seen"].model_copy(
            update={"accuracy": Interval(value=value, low=value - 0.1, high=value)}
        )
        for value in (0.95, 0.75)
    )
    found = texts(plots.slice_accuracy({"alpha": worst, "beta": best, "gamma": worst}))
    assert [each for each in found if each in ("alpha", "beta", "gamma")] == ["gamma", "beta", "alpha"]


@pytest.mark.parametrize(("low", "ticks"), [(0.75, "0.7 0.8 0.9 1.0"), (0.05, "0.0 0.2 0.4 0.6 0.8 1.0")])
def test_ticks_are_round_and_end_at_1(measured, low, ticks):
    whole = Interval(value=1.0, low=low, high=1.0)
    found = texts(plots.label_f1({"real": measured.labels["real"].model_copy(update={"f1": whole})}))
    assert [each for each in found if len(each) == 3 and each[1] == "."] == ticks.split()


def test_a_value_without_an_interval_lies_inside_the_plot(measured):
    known, alone = (
        measured.labels["real"].model_copy(update={"f1": Interval(value=value, low=low, high=low)})
        for value, low in ((0.95, 0.95), (0.15, math.nan))
    )
    assert "0.2" in texts(plots.label_f1({"known": known, "alone": alone}))


def test_a_dot_at_the_edge_is_whole(measured):
    root = ElementTree.fromstring(base64.b64decode(plots.label_f1(measured.labels).removeprefix(PREFIX)))
    clipped = [each for each in root.iter(f"{SVG}g") if "clip-path" in each.attrib]
    assert not [dot for each in clipped for dot in each.iter(f"{SVG}use")]


@pytest.mark.parametrize("theme", [dict(zip(plots.DARK, plots.DARK, strict=True)), plots.DARK])
@pytest.mark.parametrize("share", [0, 10, 30, 50, 55, 60, 75, 100])
def test_shares_are_readable_on_every_shade(measured, share, theme):
    """A contrast of 4.5 or more (WCAG 2.1, success criterion 1.4.3)."""
    rest = 100 - share
    counts = {"confusion": ((share, rest, 0), (rest, share, 0), (0, rest, share))}
    uri = plots.confusion_matrix(measured.model_copy(update=counts))
    drawing = base64.b64decode(uri.removeprefix(PREFIX)).decode()
    cells = re.findall(r'style="fill: (?:none|var\(--c(\d)\)); opacity: ([\d.]+)"', drawing)
    inks = re.findall(r'<text style="font-weight: 700;[^"]*fill: var\(--c(\d)\)', drawing)
    palette = [np.array(to_rgb(theme[each])) for each in plots.DARK]
    paper = np.array(to_rgb(theme[plots.PAPER]))
    for (fill, opacity), ink in zip(cells, inks, strict=True):
        behind = float(opacity) * palette[int(fill or 0)] + (1 - float(opacity)) * paper
        assert contrast(palette[int(ink)], behind) >= 4.5


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour):
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


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
