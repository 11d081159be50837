"""Samples as predictors would have given them, at rates that a test chooses."""

from datetime import UTC, datetime

import numpy as np

from bonafide.delivery.rollout.samples import Series

SCRAPE = 15.0
BOUNDS = ("0.01", "0.012", "0.0144", "0.0173", "0.0207", "+Inf")
SHARES = ("0.5", "0.75", "1.0", "+Inf")
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


def counted(rng, tried, errors=0.001, slow=0.05, label=0.3, sure=0.5):
    """By how much each series of a pod grows that is asked ``tried`` times; shares are chances."""
    failed = rng.binomial(tried, errors)
    answered = tried - failed
    for outcome, grown in (("ok", answered), ("failed", failed), ("overloaded", 0 * failed)):
        yield "bonafide_requests_total", {"outcome": outcome, "protocol": "rest"}, grown
    lagging = rng.binomial(answered, slow)
    for bound in BOUNDS:
        quick = 0 * answered if bound < "0.0144" else answered - lagging
        grown = answered if bound in BOUNDS[-2:] else quick
        yield "bonafide_stage_seconds_bucket", {"stage": "infer", "le": bound}, grown
    fakes = rng.binomial(answered, label)
    for name, grown in (("fake", fakes), ("real", answered - fakes)):
        yield "bonafide_predictions_total", {"label": name}, grown
    unsure = rng.binomial(answered, sure)
    for bound, grown in zip(SHARES, (0 * unsure, unsure, answered, answered), strict=True):
        yield "bonafide_confidence_bucket", {"le": bound}, grown
    yield "bonafide_model_info", {}, 0 * tried


class Traffic:
    """Answers to requests, as counters of pods; each is scraped every 15 seconds."""

    def __init__(self, seed=1):
        self.rng = np.random.default_rng(seed)
        self.series = []

    def pod(self, version, start, end, rate, errors=0.001, slow=0.05, label=0.3, sure=0.5, name="a"):
        """Counters of one pod between two times, in seconds since midnight; shares are chances."""
        times = MIDNIGHT.timestamp() + np.arange(start, end + 1e-6, SCRAPE)
        tried = self.rng.poisson(rate * SCRAPE, len(times) - 1)
        for metric, labels, grown in counted(self.rng, tried, errors, slow, label, sure):
            values = np.concatenate([[0.0], np.cumsum(grown)])
            self.series.append(Series(f"v{version}", f"v{version}-{name}", metric, labels, times, values))

    def read(self, metric, start, end, step=0, where=None):
        found = []
        for each in self.series:
            inside = (each.times >= start) & (each.times <= end)
            if each.metric == metric and inside.any():
                times, values = each.times[inside], each.values[inside]
                if step:
                    last = np.append(np.diff(times // step) > 0, True)
                    times, values = times[last], values[last]
                found.append(Series(each.predictor, each.pod, metric, each.labels, times, values))
        return found
