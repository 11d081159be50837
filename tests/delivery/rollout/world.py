"""A simulated cluster: pods that answer the requests that Git gives them, and the samples of them."""

from dataclasses import dataclass, field

import numpy as np

from bonafide.delivery.rollout.replay import Replay
from bonafide.delivery.rollout.samples import Series
from bonafide.errors import DeliveryError
from tests.delivery.rollout.traffic import counted

SCRAPE = 60
RATE = 40.0
SOUND = {"errors": 0.001, "label": 0.3, "slow": 0.05}


@dataclass
class Pod:
    """Its counters since its last restart, and what was scraped of them: FP64 [S] and [S, L]."""

    version: str
    name: str
    keys: list = field(default_factory=list)
    counters: np.ndarray | None = None
    times: list = field(default_factory=list)
    values: list = field(default_factory=list)

    def answer(self, rng, times, tried, truth, seen):
        """So many requests before each scrape; those of ``times`` that are not ``seen`` leave no sample."""
        grown = list(counted(rng, tried, **truth))
        self.keys = [(metric, labels) for metric, labels, _ in grown]
        before = np.zeros(len(grown)) if self.counters is None else self.counters
        values = before + np.cumsum([each for *_, each in grown], axis=1).T
        self.counters = values[-1]
        self.times.append(times[seen])
        self.values.append(values[seen])

    def series(self):
        """One of each metric and its labels."""
        times, values = np.concatenate(self.times), np.concatenate(self.values)
        for index, (metric, labels) in enumerate(self.keys):
            yield Series(f"v{self.version}", self.name, metric, labels, times, values[:, index])


class World:
    """Answers and samples of one service, as ``Samples`` and as ``Replayer``.

    Attributes:
        truths: what shares of a version's live requests have an event, for those that are not sound.
        odd: versions that answer replays otherwise.
        stable_pods: how many the stable version has.
        away: whether nobody can read the samples.
    """

    def __init__(self, seed, now):
        self.rng = np.random.default_rng(seed)
        self.now = self.scraped = now
        self.pods, self.gone = {}, []
        self.truths, self.odd = {}, set()
        self.stable_pods, self.away = 2, False

    def run(self, seconds, service, unready=False, restart=0.0, gap=(1.0, 1.0)):
        """Requests come for a while.

        Args:
            unready: whether the canary's pods do not start.
            restart: the chance of each pod to begin at zero.
            gap: the part of the time in which nothing is scraped.
        """
        end, arms = self.now + seconds, self._arms(service, unready)
        times = np.arange(self.scraped + SCRAPE, end + 1e-6, SCRAPE)
        self.now = end
        self._replace_pods(arms, restart)
        if not len(times):
            return
        began, self.scraped = self.scraped, times[-1]
        part = (times - began) / max(seconds, SCRAPE)
        seen = (part < gap[0]) | (part > gap[1])
        for version, (number, rate) in arms.items():
            for index in range(number):
                tried = self.rng.poisson(rate * SCRAPE / number, len(times))
                truth = self.truths.get(version, SOUND)
                self.pods[version, index].answer(self.rng, times, tried, truth, seen)

    def read(self, metric, start, end, step=0, where=None):
        if self.away:
            raise DeliveryError("Prometheus cannot be reached")
        found = []
        for pod in [*self.gone, *self.pods.values()]:
            if pod.times and (where or {}).get("predictor", f"v{pod.version}") == f"v{pod.version}":
                found += [_cut(each, start, end, step) for each in pod.series() if each.metric == metric]
        return [each for each in found if len(each.times)]

    def replay(self, task, rollout):
        answers = np.where(self.rng.random(rollout.settings.replays) < 0.3, "fake", "real").tolist()
        lost = self.rng.random(len(answers)) < (0.5 if rollout.canary in self.odd else 0.0)
        return [Replay(answer, None if no else answer) for answer, no in zip(answers, lost, strict=True)]

    def _arms(self, service, unready):
        """The pods and requests per second of each version."""
        arms = {service.stable.version: (self.stable_pods, RATE * (100 - service.weight) / 100)}
        if service.canary and not unready:
            arms[service.canary.version] = (service.replicas, RATE * service.weight / 100)
        return arms

    def _replace_pods(self, arms, restart):
        wanted = {(version, index) for version, (number, _) in arms.items() for index in range(number)}
        for key in set(self.pods) - wanted:
            self.gone.append(self.pods.pop(key))
        for version, index in sorted(wanted):
            pod = self.pods.setdefault((version, index), Pod(version, f"v{version}-{index}-{self.now:.0f}"))
            if self.rng.random() < restart:
                pod.counters = None


def _cut(series, start, end, step):
    inside = (series.times >= start) & (series.times <= end)
    times, values = series.times[inside], series.values[inside]
    if step and len(times):
        last = np.append(np.diff(np.ceil((times - start) / step)) > 0, True)
        times, values = times[last], values[last]
    return Series(series.predictor, series.pod, series.metric, series.labels, times, values)
