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


def against_equality(windows: Iterable[Window], ratios: Ratios, damping: float = 1.0) -> float:
    """The logarithm of the evidence that the arms' odds ratio is one of ``ratios`` rather than 1.

    Args:
        ratios: of the canary's odds to the stable version's; all above 1 where only more events are bad.
        damping: 1 or less, 1 / :func:`dispersion`; what pods differ by anyway weighs less then.
    """
    start = np.zeros(len(ratios))
    return _mixed(sum((_likelihood(each, ratios, 1.0) for each in windows), start), damping)


def against_margin(windows: Iterable[Window], margin: float, damping: float = 1.0) -> float:
    """The logarithm of the evidence that the canary's odds ratio stays below ``margin``.

    Args:
        windows: none of which the margin was chosen by.
        margin: an odds ratio above 1.
        damping: as in :func:`against_equality`.
    """
    start = np.zeros(len(SAFER))
    return _mixed(sum((_likelihood(each, margin * SAFER, margin) for each in windows), start), damping)


def against_share(windows: Iterable[Window], share: float, damping: float = 1.0) -> float:
    """The logarithm of the evidence that the canary's own share of events stays below ``share``.

    A canary that errs in fewer than 5 of 1,000 requests is not 5 points of 1,000 worse than anybody. Where
    events are so rare that no window has one, the comparison of the arms says nothing, and this does.
    """
    logs, shares = np.zeros(len(SAFER)), share * SAFER
    for window in windows:
        good = window.canary_requests - window.canary_events
        logs += window.canary_events * np.log(SAFER) + good * (np.log1p(-shares) - math.log1p(-share))
    return _mixed(logs, damping)


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


def odds_ratio(share: float, other: float) -> float:
    """Of two shares, each within 0 and 1."""
    return (share / (1 - share)) / (other / (1 - other))


def dispersion(blocks: Iterable[Window]) -> float:
    """How much more one pod differs from the others than chance allows, 1 or more.

    The mean of (a - E)² / V over blocks in which one stable pod is taken for a canary.
    """
    squares = [_square(block) for block in blocks]
    return max(1.0, float(np.mean(squares))) if squares else 1.0


def _square(block: Window) -> float:
    n, m, e = block.canary_requests, block.stable_requests, block.events
    total = n + m
    variance = n * m * e * (total - e) / (total**2 * (total - 1)) if total > 1 else 0.0
    return (block.canary_events - e * n / total) ** 2 / variance if variance else 1.0


def _likelihood(window: Window, ratios: Ratios, null: float) -> Ratios:
    """Logarithms of the likelihood ratios of ``ratios`` against ``null``."""
    gain = window.canary_events * np.log(ratios / null)
    return gain - _log_normaliser(window, ratios) + _log_normaliser(window, np.array([null]))


def _log_normaliser(window: Window, ratios: Ratios) -> Ratios:
    """log M(ψ)."""
    from scipy.special import gammaln, logsumexp

    n, m, e = window.canary_requests, window.stable_requests, window.events
    u = np.arange(max(0, e - m), min(n, e) + 1)

    def log_choose(total: int, chosen: npt.NDArray[np.int64] | int) -> Ratios:
        chosen = np.asarray(chosen, np.float64)
        logs: Ratios = gammaln(total + 1.0) - gammaln(chosen + 1) - gammaln(total - chosen + 1)
        return logs

    weights = log_choose(n, u) + log_choose(m, e - u) - log_choose(n + m, e)
    logs: Ratios = logsumexp(weights + u * np.log(ratios)[:, None], axis=1)
    return logs


def _mixed(logs: Ratios, damping: float) -> float:
    return float(np.logaddexp.reduce(damping * logs) - math.log(len(logs)))


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
