import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from benchmarks.canary import others, picture, rows
from benchmarks.canary.judge import Rollouts, dark
from benchmarks.canary.page import page
from benchmarks.canary.rows import Row, Share
from benchmarks.canary.traffic import BOUNDS, LABELS, World, day
from bonafide.delivery.rollout.checks import PREDICTIONS, Check, choose
from bonafide.delivery.rollout.decide import Evidence, Finding, Rollout, Verdict, decide
from bonafide.delivery.rollout.evidence import Window
from bonafide.delivery.rollout.measure import Compared
from bonafide.delivery.rollout.replay import Replay, findings
from bonafide.delivery.rollout.settings import RolloutSettings
from bonafide.telemetry import metrics

QUICK = RolloutSettings(steps=(0, 10, 50, 100), bake_minutes=3, warm_up_minutes=1, deadline_minutes=25)


@dataclass
class Plain:
    """One rollout that is judged by the plain functions, from all of its windows anew each time."""

    rollouts: Rollouts
    run: int
    windows: dict[str, list[Window]] = field(default_factory=dict)
    step: int = 0
    verdicts: list[str] = field(default_factory=list)

    def look(self, rollout: Rollout) -> Evidence:
        runs, counts = self.rollouts.windows
        found: list[Finding] = []
        for judged, windows in zip(self.rollouts.judged, counts, strict=True):
            check, damping = judged.checks[self.run], float(judged.damping[self.run])
            seen = self.windows.setdefault(check.name, [])
            seen += [Window(*map(int, windows[at])) for at in np.flatnonzero(runs == self.run)]
            found.append(Compared(check, seen, (), self.step, damping).finding())
            if check.counter is PREDICTIONS:
                other = [window.mirrored for window in seen]
                found.append(Compared(_other(check), other, (), self.step, damping).finding())
        if not rollout.weight:
            found = dark(self.rollouts.replays[self.run], self.rollouts.settings)
        return Evidence(found, rollout.since)


def _either(why: str) -> str:
    """Both labels' evidence is the same but for rounding, so either may be named."""
    return why.replace("label ai", "label real")


def _other(check: Check) -> Check:
    return replace(check, name="label real", above=check.below, below=check.above)


KINDS = [{}, {"canary_errors": 0.03}, {"shifted": 0.04, "changed": 0.6}, {"pods": 0.3}]


@pytest.mark.parametrize("kind", KINDS)
def test_the_sums_decide_as_all_windows_do(kind):
    rollouts = Rollouts(World(20, errors=0.01, **kind), 3, np.random.default_rng(4), QUICK)
    plain = [Plain(rollouts, run) for run in range(3)]
    while any(each is None for each in rollouts.ended):
        before = [(rollouts.rollout(run), rollouts.ended[run]) for run in range(3)]
        rollouts.tick()
        for each, (rollout, ended) in zip(plain, before, strict=True):
            if ended:
                continue
            evidence = each.look(rollout)
            decision = decide(rollout, evidence, rollouts._time(rollouts.now))
            after = rollouts.ended[each.run]
            if decision.verdict in (Verdict.ROLL_BACK, Verdict.FINISH):
                assert after.verdict == decision.verdict
                assert _either(after.why) == _either(decision.why)
            else:
                assert after is None
                assert rollouts.weight[each.run] == decision.weight
            if decision.verdict is Verdict.ADVANCE:
                each.step = len(next(iter(each.windows.values()), []))
            if rollout.weight and decision.verdict is not Verdict.ADVANCE:
                assert rollouts.evidence()[0][each.run] == pytest.approx(evidence.harm, abs=1e-9)


def test_two_labels_say_the_same():
    base = day(World(20, drift=0.5), np.zeros((2, 4)), np.random.default_rng(0))
    checks = {check.name: check for check in choose(base, QUICK.margins)}
    first, second = (checks[f"label {label}"] for label in LABELS)
    windows = [Window(70, 120, 510, 1080), Window(66, 130, 560, 1070)]
    ours = Compared(first, windows, (), 1, 0.7).finding()
    other = Compared(second, [window.mirrored for window in windows], (), 1, 0.7).finding()
    assert (ours.harm, ours.safe, ours.weight) == pytest.approx((other.harm, other.safe, other.weight))
    assert len(checks) == 5


def test_counted_replays_say_what_replays_say():
    replays = [Replay("real", "ai")] * 30 + [Replay("ai", "real")] * 12 + [Replay("ai", "ai")] * 400
    settings = RolloutSettings()
    counted = dark(np.array([30, 12, 400]), settings)
    for ours, theirs in zip(counted, findings(replays, settings.margins.label_points), strict=True):
        assert (ours.name, ours.weight, ours.trials) == (theirs.name, theirs.weight, theirs.trials)
        assert (ours.harm, ours.safe) == pytest.approx((theirs.harm, theirs.safe))


def test_buckets_are_those_of_the_servers():
    metrics.STAGE_SECONDS.labels("canary", "1", "infer")
    [family] = metrics.STAGE_SECONDS.collect()
    bounds = {sample.labels["le"] for sample in family.samples if "le" in sample.labels}
    assert set(map(str, BOUNDS)) < bounds


def test_a_day_has_the_shares_of_its_world():
    world = World(50, errors=0.02, slower=3, shifted=0.3, canary_errors=0.9)
    base = day(world, np.zeros((2, 4)), np.random.default_rng(1))
    for counter, shares in world.shares(canary=False).items():
        sums = dict(zip(base[counter].keys, base[counter].counts.sum((0, 2)), strict=True))
        total = sums["ok"] + sums["failed"] if "ok" in sums else sums.get("+Inf", sum(sums.values()))
        for key, share in shares.items():
            assert sums[key] / total == pytest.approx(share, abs=0.002)


def test_a_bad_canary_is_found_and_a_good_one_is_not():
    bad = rows.simulate(Row("worse", "errors × 4", World(20, errors=0.01, canary_errors=0.04)), 40, 1)
    assert bad["early"] == bad["back"] == 40
    assert bad["late"] == 0
    good = rows.simulate(Row("same", "same", World(20, errors=0.01)), 40, 1)
    assert good["back"] <= 2
    assert good["minutes"][0] >= 4 * 12 + 12


def test_too_little_time_is_told_from_harm():
    hurried = RolloutSettings(deadline_minutes=13)
    found = rows.simulate(Row("same", "same", World(5), settings=hurried), 20, 0)
    assert found["late"] == found["back"] == 20


def test_a_large_shift_is_found_in_the_dark_and_none_is_not():
    found = rows.replayed(0.1, 20, np.random.default_rng(0))
    assert all(0 < replays <= 1000 for replays in found)
    assert rows.replayed(0.0, 20, np.random.default_rng(0)).count(0) >= 19


@pytest.mark.parametrize(
    ("judge", "found"),
    [(others.kayenta, {"errors", "slower"}), (others.flagger, {"errors"}), (others.argo, {"errors"})],
)
def test_other_systems_find_what_their_rules_look_at(judge, found):
    rng = np.random.default_rng(0)
    assert judge(World(20, canary_errors=0.2), 5, rng).all() == ("errors" in found)
    assert judge(World(20, slower=2), 5, rng).all() == ("slower" in found)
    assert judge(World(20, errors=0.001), 20, rng).mean() <= 0.2


def test_every_figure_stands_on_the_page():
    numbers = iter(range(1, 1000))
    judged = {row.name: _figures(numbers) for row in rows.rows()}
    peers = {name: {peer: next(numbers) for peer in rows.PEERS} for name in rows.PEER_WORLDS}
    replays = {f"{shift:g}": [0] * 900 + [next(numbers)] * 100 for shift in rows.SHIFTS}
    text = page({"runs": 1000, "judged": judged, "peers": peers, "replays": replays})
    for row in rows.rows():
        figures = judged[row.name]
        told = {"worse": "early", "shifted": "shifted", "both": "shifted"}.get(row.table, "back")
        assert str(Share(figures[told], 1000)) in text
    for found in peers.values():
        assert all(str(Share(times, 1000)) in text for times in found.values())
    assert "**no**" in text


def _figures(numbers):
    figures = {name: next(numbers) for name in ("back", "late", "early", "soon", "shifted")}
    return {**figures, **{name: [1.0, 2.0] for name in ("requests", "found", "minutes")}}


def test_the_picture_shows_good_and_bad_canaries(tmp_path, monkeypatch):
    monkeypatch.setattr(picture, "LINES", 2)
    good, bad = (picture.watch(world) for world in picture.WORLDS.values())
    back, further = (-math.log(alpha) for alpha, _ in picture.BOUNDS)
    assert all(harm[-1] >= back for _, harm, _ in bad)
    assert all(harm.max() < back and safe[-1] >= further for _, harm, safe in good)
    assert all(safe.max() < further for _, _, safe in bad)
    picture.draw(tmp_path / "canary.svg")
    assert "errors 0.5" in (tmp_path / "canary.svg").read_text()
