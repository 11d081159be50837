"""The page docs/benchmarks/canary.md."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.canary import others, rows
from benchmarks.canary.rows import NOISES, PEERS, REPLAYS, SHIFT_REQUESTS, SOON, SURER, Row, Share
from benchmarks.canary.traffic import MEDIAN, PODS, SPREAD, World
from bonafide.delivery.rollout.settings import RolloutSettings

Results = dict[str, Any]

SAME, FOUND, SURELY = 0.01, 0.98, 0.99
SHIFTED = "a label's share + 10 points"
OURS = {
    "no difference": "same, 20/s, none",
    "no difference, shared bursts": "same, 20/s, shared bursts, σ 1",
    "errors 0.5 % → 1 %": "errors 0.5 % → 1 %, 20/s, none",
    "errors 0.5 % → 1.5 %": "errors 0.5 % → 1.5 %, 20/s, none",
    "inference × 1.5": "inference × 1.5, 20/s, none",
}


def page(results: Results) -> str:
    """The page for these results."""
    judged, runs = results["judged"], results["runs"]
    settings, world = RolloutSettings(), World(20)

    def lines(table: str, line: Callable[[Row, rows.Figures, int], str]) -> str:
        return "\n".join(line(row, judged[row.name], runs) for row in rows.rows() if row.table == table)

    return TEMPLATE.format(
        runs=f"{runs:,}",
        steps=" → ".join(f"{step} %" for step in settings.steps),
        bake=f"{settings.bake_minutes:g}",
        warm_up=f"{settings.warm_up_minutes:g}",
        deadline=f"{settings.deadline_minutes / 60:g}",
        window=settings.window_seconds,
        pods=PODS,
        median=f"{1000 * MEDIAN:g}",
        spread=SPREAD,
        errors=f"{100 * world.errors:g} %",
        changed=f"{100 * world.changed:g} %",
        same=lines("same", _same),
        lasting=lines("lasting", _same),
        worse=lines("worse", _worse),
        grey=lines("grey", _grey),
        shifted=lines("shifted", _shifted),
        both=lines("both", _shifted),
        dark="\n".join(_dark(shift, found) for shift, found in results["replays"].items()),
        replays=f"{REPLAYS:,}",
        soon=f"{SOON:,}",
        shift_requests=f"{SHIFT_REQUESTS:,}",
        peers="\n".join(_peers(name, results) for name in results["peers"]),
        peer_names=" | ".join(PEERS),
        arm=others.ARM,
        judged=", ".join(str(minutes) for minutes in others.JUDGED),
        measured=", ".join(f"{each} %" for each in others.MEASURED),
    )


def _same(row: Row, found: rows.Figures, runs: int) -> str:
    back = Share(found["back"], runs)
    cells = _who(row), str(back), str(found["late"]), _spread(found["minutes"]), _kept(back.value <= SAME)
    return _line(*cells)


def _worse(row: Row, found: rows.Figures, runs: int) -> str:
    early, least = Share(found["early"], runs), SURELY if row.what in SURER else FOUND
    soon = row.world.slower == 1 or found["soon"] >= 0.95 * found["early"]
    cells = str(early), f"{100 * least:g} %", _spread(found["requests"]), _spread(found["found"])
    return _line(row.what, _who(row), *cells, _kept(early.value >= least and soon))


def _grey(_: Row, found: rows.Figures, runs: int) -> str:
    return f"{Share(found['back'], runs)} are rolled back, {found['late']} of {runs:,} for a deadline"


def _shifted(row: Row, found: rows.Figures, runs: int) -> str:
    share = Share(found["shifted"], runs)
    dark = "no" if row.settings else "yes"
    return _line(_who(row), dark, str(share), _spread(found["requests"]), _kept(share.value >= 0.95))


def _dark(shift: str, replays: list[int]) -> str:
    found = [each for each in replays if each]
    share = Share(len(found), len(replays))
    spread = [float(each) for each in np.quantile(found, (0.5, 0.95))]
    kept = _kept(share.value >= 0.99) if float(shift) == max(rows.SHIFTS) else "not promised"
    return _line(f"{100 * float(shift):g} points", str(share), _spread(spread), kept)


def _peers(name: str, results: Results) -> str:
    runs = results["runs"]
    if name == SHIFTED:
        ours = sum(1 for each in results["replays"]["0.1"] if each)
    else:
        ours = results["judged"][OURS[name]]["back"]
    return _line(name, *(str(Share(times, runs)) for times in (ours, *results["peers"][name].values())))


def _who(row: Row) -> str:
    noise = "" if row.noise == next(iter(NOISES)) else f", {row.noise}"
    return f"{row.world.rate:g} requests/s{noise}{'' if row.damped else ', undamped'}"


def _spread(numbers: list[float]) -> str:
    return " / ".join(f"{each:,.0f}" for each in numbers) or "–"


def _kept(holds: bool) -> str:
    return "yes" if holds else "**no**"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


TEMPLATE = """# How well a canary judges itself

Written by `make bench-canary`: {runs} simulated rollouts a row, judged once a window by the code that judges
real ones, with the default settings: {steps} of the traffic, windows of {window} s, {warm_up} minutes of
warm-up and {bake} minutes of baking a step, a deadline of {deadline} hours a step. A share is followed by its
exact 95 % interval, in percent. Two figures with a slash are the median and the 95 % point. "Kept" says
whether the share in this run keeps what was promised.

The stable version has {pods} pods, the canary as many as its share of the traffic asks for, one at least.
Requests come at random and go to any pod; pods are ready at once. Errors are {errors} unless a row says
otherwise. Inference takes {median} ms in the median, log-normal with σ {spread}. There are two labels,
equally frequent. In a replay, {changed} of answers change where the versions are as good, half of them each
way; no replay fails. Each rollout has a day of the stable version behind it, which sets thresholds and
damping.

![Evidence over requests](canary.svg)

Twelve good and twelve bad canaries at 20 requests/s in their first step with traffic; a line ends where the
canary leaves the step. Left: evidence of harm of all checks together, which takes the bad ones back. Right:
evidence that a check keeps its margin, of the check that has the least; it lets the good ones go further.

## A version that does not differ

Promised: at most 1 % are rolled back, deadlines included.

| Traffic | Rolled back | of these, for a deadline | Minutes to 100 % | Kept |
|---|---:|---:|---:|---|
{same}

Shared bursts multiply the odds of an error in both versions by a new log-normal factor each minute. Label
drift moves the log odds of the labels in both versions each half-hour. Pods that wander have odds of errors
and of slow answers of their own, which change each half-hour. "Undamped" shows what would happen if the judge
did not allow for what the stable version's pods differ by.

### Pods that differ for good

| Traffic | Rolled back | of these, for a deadline | Minutes to 100 % | 1 % kept |
|---|---:|---:|---:|---|
{lasting}

These pods keep their factors for the whole rollout, as on a slower node. Here the canary's one or two pods
really are worse or better than the stable version's, though not because of the version. More requests make
this plainer, and damping only delays it. No rule can tell such a pod from a version that is worse to the same
degree. The cure is outside the judge: the same kind of node for both versions, and more than one pod for the
canary.

## A version that is worse

Promised: this share is rolled back before it gets half of the traffic; of those with slower inference, 95 %
within {soon} canary requests. Requests are those of the canary that were judged until it was rolled back.

| Change | Traffic | Found | Promised | Requests | Minutes | Kept |
|---|---|---:|---:|---:|---:|---|
{worse}

Errors × 1.5 are a grey zone: below the margin, but harm. At 20 requests/s, of canaries with 0.75 % instead of
0.5 % errors {grey}; all others reach 100 %.

## A label's share

In the dark step, promised is that a shift of 10 points is found within {replays} replays in 99 % of rollouts.

| Shift | Found | Replays | Kept |
|---|---:|---:|---|
{dark}

Also promised: a shift of 5 points is found within {shift_requests} canary requests in 95 %. The
default rollout has a dark step before the traffic, whose replays find most of these shifts.

| Traffic | Dark step | Found | Requests | Kept |
|---|---|---:|---:|---|
{both}
{shifted}

Equally frequent labels are the hardest case: there a shift of 5 points changes the odds least.

## Other systems' rules

The same traffic at 20 requests/s. The figures are the share of rollouts that are rolled back: the lower the
better where nothing differs, the higher the better elsewhere.

| Canary | Bonafide | {peer_names} |
|---|---:|---:|---:|---:|
{peers}

Each system has the steps and limits that its documentation shows. A user may set others.

- **Kayenta**: a baseline of the same size beside the canary, {arm} % of the traffic each, and judgements
  after {judged} minutes, each over all minutes so far
  ([best practices](https://spinnaker.io/docs/guides/user/canary/best-practices/)). The metrics are the share
  of errors, the mean time and a label's share, each minute. A metric fails where the 98 % interval of the
  Mann-Whitney test lies beyond a quarter of its estimate
  ([judge](https://spinnaker.io/docs/guides/user/canary/judge/),
  [its source](https://github.com/spinnaker/kayenta/tree/master/kayenta-judge)); errors and time fail upwards
  only. The score is the share of metrics that pass; below 75 stops at once, below 95 fails at the end, the
  thresholds of its sample configurations.
- **Flagger**: steps of 10 % up to 50 %, a check each minute, success of at least 99 % and a 99th percentile
  of at most 500 ms in the last minute, rolled back at 5 failed checks
  ([metrics](https://fluxcd.io/flagger/usage/metrics/),
  [strategies](https://docs.flagger.app/usage/deployment-strategies)). Nothing looks at labels.
- **Argo Rollouts**: steps of 20 % each 10 minutes, measurements each 5 minutes from the second step on, here
  at {measured}, success of at least 95 % in the last two samples, 30 s apart; three measurements that fail
  end it ([analysis](https://argo-rollouts.readthedocs.io/en/stable/features/analysis/),
  [Prometheus](https://argo-rollouts.readthedocs.io/en/stable/analysis/prometheus/)). Its example measures
  success alone.

## What your traffic allows

`bonafide rollout plan --rate 20 --errors 0.005` tells the same for your own traffic and `rollout.yaml`: how
many requests and minutes each step needs to go on and to see a change. It refuses a deadline that would roll
back more than one good version in a thousand at a step. It takes pods for equal; where they wander,
everything takes longer, as the rows above show.
"""
