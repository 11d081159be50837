"""How strongly events among requests speak for or against a canary, however often one looks.

In a window the canary answers n requests of which a are events (errors, slow answers, a label), the stable
version m, both together e. Requests are divided at random, so whatever the hour does to both, given n, m and
e the number a has Fisher's noncentral hypergeometric distribution; its one parameter is the odds ratio ψ of
the arms. With M(ψ) = Σ_u C(n,u) C(m,e-u) ψ^u / C(n+m,e) the likelihood ratio of ψ against ψ₀ is
(ψ/ψ₀)^a M(ψ₀)/M(ψ). Its product over windows, mixed over several ψ, is an e-process: under ψ₀ it ever
reaches 1/α with a probability of at most α (Ville; Lindon and Malek 2022; Turner and Grünwald 2023), and
under a ratio on the other side of ψ₀ with a smaller one.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

HIGHER = np.geomspace(1.25, 8, 12)
EITHER = np.concatenate([1 / np.geomspace(1.15, 3, 8)[::-1], np.geomspace(1.15, 3, 8)])
SAFER = 1 / np.geomspace(1.15, 16, 14)

CELLS = 20_000  # numbers at once, so that they stay in a core's cache
BLOCK = 64  # powers of a ratio that a float holds with ease

Counts = npt.NDArray[np.int64]
Ratios = npt.NDArray[np.float64]


class Window(NamedTuple):
    """Events and requests of both arms in a stretch of time."""

    canary_events: int
    canary_requests: int
    stable_events: int
    stable_requests: int

    @property
    def events(self) -> int:
        """Of both arms."""
        return self.canary_events + self.stable_events

    @property
    def mirrored(self) -> "Window":
        """What was no event, as events."""
        return Window(
            self.canary_requests - self.canary_events,
            self.canary_requests,
            self.stable_requests - self.stable_events,
            self.stable_requests,
        )


class Against(NamedTuple):
    """Odds ratios, and the one that they are held against.

    Attributes:
        ratios: FP64 [K], as multiples of ``null``.
        null: FP64 [1], or [W] if each window has its own.
    """

    ratios: Ratios
    null: Ratios

    def of(self, part: slice, count: int) -> "Against":
        """For a part of so many windows."""
        return Against(self.ratios, np.broadcast_to(self.null, count)[part])


def against_equality(windows: Iterable[Window], ratios: Ratios, damping: float = 1.0) -> float:
    """The logarithm of the evidence that the arms' odds ratio is one of ``ratios`` rather than 1.

    Args:
        ratios: of the canary's odds to the stable version's; all above 1 where only more events are bad.
        damping: 1 or less, 1 / :func:`dispersion`; what pods differ by anyway weighs less then.
    """
    [logs] = likelihoods(_counts(windows), Against(ratios, np.ones(1)))
    return _mixed(logs.sum(0), damping)


def growing(windows: Iterable[Window], ratios: Ratios, damping: float = 1.0) -> Ratios:
    """As :func:`against_equality`, after each window, FP64 [W]."""
    [logs] = likelihoods(_counts(windows), Against(ratios, np.ones(1)))
    mixed: Ratios = np.logaddexp.reduce(damping * np.cumsum(logs, 0), axis=1) - math.log(len(ratios))
    return mixed


def against_margin(windows: Iterable[Window], margin: float, damping: float = 1.0) -> float:
    """The logarithm of the evidence that the canary's odds ratio stays below ``margin``.

    Args:
        windows: none of which the margin was chosen by.
        margin: an odds ratio above 1.
        damping: as in :func:`against_equality`.
    """
    [logs] = likelihoods(_counts(windows), Against(SAFER, np.full(1, margin)))
    return _mixed(logs.sum(0), damping)


def likelihoods(windows: npt.NDArray[np.int64], *tests: Against) -> list[Ratios]:
    """Logarithms of each window's likelihood ratios, FP64 [W, K] a test; sums over windows are what is mixed.

    Args:
        windows: INT64 [W, 4], the numbers of each :class:`Window`.
    """
    widest = int(np.minimum(windows[:, 1], windows[:, 0] + windows[:, 2]).max(initial=0)) + 1
    at_once = max(1, CELLS // widest)
    found = [[np.empty((0, len(test.ratios))) for test in tests]]
    for start in range(0, len(windows), at_once):
        part = slice(start, start + at_once)
        found.append(_likelihoods(windows[part], [test.of(part, len(windows)) for test in tests]))
    return [np.concatenate(each) for each in zip(*found, strict=True)]


def against_share(windows: Iterable[Window], share: float, damping: float = 1.0) -> float:
    """The logarithm of the evidence that the canary's own share of events stays below ``share``.

    A canary that errs in fewer than 5 of 1,000 requests is not 5 points of 1,000 worse than anybody. Where
    events are so rare that no window has one, the comparison of the arms says nothing, and this does.
    """
    return _mixed(rarities(_counts(windows), share).sum(0), damping)


def beyond_share(windows: Iterable[Window], share: float) -> float:
    """The logarithm of the evidence that the canary's own share of events is above ``share``."""
    most = HIGHER[HIGHER * share < 1]
    return _mixed(rarities(_counts(windows), share, most).sum(0), 1.0)


def rarities(windows: npt.NDArray[np.int64], share: float, multiples: Ratios = SAFER) -> Ratios:
    """Logarithms of each window's likelihood ratios of multiples of ``share``, FP64 [W, K].

    Args:
        windows: as in :func:`likelihoods`.
    """
    events, good = windows[:, :1], windows[:, 1:2] - windows[:, :1]
    logs: Ratios = events * np.log(multiples) + good * (np.log1p(-share * multiples) - math.log1p(-share))
    return logs


def paired(worse: int, better: int) -> float:
    """The logarithm of the evidence in replayed requests that changed one way or the other (McNemar).

    If neither way is likelier, ``worse`` of all that changed is binomial with one half, whenever one looks.
    The mixture over the other shares is Jeffreys' prior.
    """
    total = worse + better
    return _log_beta(worse + 0.5, better + 0.5) - _log_beta(0.5, 0.5) + total * math.log(2)


def one_sided(worse: int, better: int) -> float:
    """As :func:`paired`, where only more of the worse is harm: odds ratios above 1 are mixed."""
    shares = HIGHER / (1 + HIGHER)
    return _mixed((worse + better) * math.log(2) + worse * np.log(shares) + better * np.log1p(-shares), 1.0)


def paired_margin(worse: int, better: int, same: int, margin: float) -> float:
    """The logarithm of the evidence that replays change for the worse by less than ``margin``, a share.

    A bet on each replay, fair at the margin and mixed over stakes, is an e-process (Waudby-Smith and Ramdas
    2024, for means of what is bounded: here 1, -1 and 0).
    """
    stakes = np.linspace(0, 1 / (1 - margin), 12)[1:-1]
    logs = (
        worse * np.log1p(stakes * (margin - 1))
        + better * np.log1p(stakes * (margin + 1))
        + same * np.log1p(stakes * margin)
    )
    return _mixed(logs, 1.0)


def combined(logs: Sequence[float], weights: Sequence[float]) -> float:
    """The logarithm of the weighted mean, which is evidence under any dependence (Vovk and Wang 2021)."""
    return float(np.logaddexp.reduce(np.asarray(logs) + np.log(weights)))


def dispersion(events: Counts, trials: Counts, together: int = 1) -> float:
    """How much more one pod differs from the others than chance allows, 1 or more.

    The mean of (A - E)² / V over blocks in which one of the pods is taken for a canary. Within a block the
    pods are compared window by window, so that the hour does not count where a pod came or went.

    Args:
        events: INT64 [P, W] for P pods and W windows; ``trials`` likewise.
        together: how many windows make a block.
    """
    every, total = events.sum(0), np.maximum(trials.sum(0), 2)
    others = total - trials
    compared = (trials > 0) & (others > 0)
    gaps = np.where(compared, events - every * trials / total, 0)
    spread = trials * others * (every * (total - every) / (total**2.0 * (total - 1)))
    starts = np.arange(0, events.shape[1], together)
    gaps, spread = (np.add.reduceat(each, starts, axis=1) for each in (gaps, np.where(compared, spread, 0)))
    told = spread > 0
    return max(1.0, float(np.mean(gaps[told] ** 2 / spread[told]))) if told.any() else 1.0


def _counts(windows: Iterable[Window]) -> npt.NDArray[np.int64]:
    return np.array(list(windows), np.int64).reshape(-1, 4)


def _likelihoods(windows: npt.NDArray[np.int64], tests: Sequence[Against]) -> list[Ratios]:
    """Without the constant of each window's M(ψ), which a ratio does not need.

    The sum over u goes by blocks: in each, a product of matrices holds the powers of all ratios.
    """
    first, logs = _laws(windows)
    steps = np.arange(logs.shape[2])
    highest = np.maximum(logs.max(-1, keepdims=True), np.finfo(np.float64).min)
    chances = np.exp(logs - highest)
    found = []
    for test in tests:
        ratios, null = np.append(test.ratios, 1.0), test.null[:, None, None]
        sums = (chances * null**steps) @ ratios ** steps[:, None]
        with np.errstate(divide="ignore"):  # a block beyond a window's last u
            blocks = np.log(sums) + highest + first[..., None] * np.log(null * ratios)
        normalisers = np.logaddexp.reduce(blocks, axis=1)
        gains = windows[:, :1].astype(np.float64) * np.log(test.ratios)
        found.append(gains - normalisers[:, :-1] + normalisers[:, -1:])
    return found


def _laws(windows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], Ratios]:
    """The first u of each block, INT64 [W, B], and log C(n,u) C(m,e-u) but for a constant, FP64 [W, B, S].

    An u that cannot be has the factorial of a negative number, which is infinite.
    """
    from scipy.special import gammaln

    n, m, e = windows[:, 1, None], windows[:, 3, None], windows[:, :1] + windows[:, 2, None]
    least, most = np.maximum(0, e - m), np.minimum(n, e)
    size = min(BLOCK, int((most - least).max()) + 1)
    first = least + np.arange(0, (most - least).max() + 1, size)
    u = first[..., None] + np.arange(size)
    beyond = first.shape[1] * size
    factorials = np.append(np.full(beyond, np.inf), gammaln(np.arange((n + m).max() + beyond + 1) + 1.0))
    logs = -factorials[u + beyond]
    for rest in (n[..., None] - u, e[..., None] - u, (m - e)[..., None] + u):
        logs -= factorials[rest + beyond]
    return first, logs


def _mixed(logs: Ratios, damping: float) -> float:
    return float(np.logaddexp.reduce(damping * logs) - math.log(len(logs)))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
