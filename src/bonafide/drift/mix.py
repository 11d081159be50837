"""Telling a change of the mix of classes from a change of their looks.

Labels of a window are not known. But if each class looks as before, the mean of the window's probabilities
is a mix of the reference's means by class, from which the shares follow (Lipton, Wang and Smola, *Detecting
and correcting for label shift with black box predictors*, 2018, with probabilities in place of answers). Then
the mean of anything else is that same mix of its own means by class. How far it is from that is judged
against draws of the multiplier bootstrap, which know that the shares are estimated: each observation's part
in the difference gets a random sign (Chwialkowski, Sejdinovic and Gretton, *A wild bootstrap for degenerate
kernel tests*, 2014). Observations of one group of the reference share their sign. The variance of
G groups about their own mean is too small by the factor (G - 1) / G, which stretches each label's parts.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonafide.errors import DataError

DRAWS = 500
CONFUSED = 1000.0
CLOSE = 1.96

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """Answers of the reference: probabilities [N, K], truth int64 [N], groups int64 [N]."""

    probabilities: NDArray[np.float32]
    label: NDArray[np.int64]
    group: NDArray[np.int64]

    def groups(self, labels: int) -> NDArray[np.int64]:
        """How many groups have images of each label."""
        pairs = np.unique(np.stack([self.label, self.group]), axis=1)
        return np.bincount(pairs[0], minlength=labels)

    def of(self, rows: NDArray[np.int64]) -> "Known":
        """Some of them."""
        return Known(self.probabilities[rows], self.label[rows], self.group[rows])


@dataclass(frozen=True)
class Share:
    """A label's share in the reference, and in the window with the ends of its 95 % interval."""

    reference: float
    window: float
    low: float
    high: float


class Mixture:
    """A window [M, K] taken for a mix of the reference's classes.

    Args:
        seed: of the draws.

    Raises:
        DataError: the model tells labels too little apart to know their shares.
    """

    def __init__(self, known: Known, window: NDArray[np.float32], seed: int) -> None:
        labels, label = window.shape[1], known.label
        self._counts = np.bincount(label, minlength=labels)
        member = np.eye(labels)[label]
        means = member.T @ known.probabilities / self._counts[:, None]
        if np.linalg.cond(means) > CONFUSED:
            raise DataError(
                "the model tells some labels hardly apart, so their shares in a window cannot be known; "
                "train a better one"
            )
        parts = np.linalg.solve(means.T, np.concatenate([known.probabilities, window]).T).T
        self.shares = parts[len(label) :].mean(0)
        each = self.shares[label] / self._counts[label]
        self.weights = np.concatenate([-each, np.full(len(window), 1 / len(window))])
        self._draw(known, each, member, parts, np.random.default_rng(seed))

    def _draw(
        self, known: Known, each: Array, member: Array, parts: Array, random: np.random.Generator
    ) -> None:
        """Differences as chance makes them, as weights float32 [N + M, DRAWS] of all observations."""
        groups, group = np.unique(known.group, return_inverse=True)
        count = len(parts) - len(group)
        own = known.groups(len(self.shares))
        unbiased = np.sqrt(own / np.maximum(own - 1, 1))[known.label]
        reference = -(each * unbiased)[:, None] * random.choice([-1.0, 1.0], (len(groups), DRAWS))[group]
        window = random.choice([-1.0, 1.0], (count, DRAWS)) / count
        drawn = np.concatenate([reference, window - window.mean(0)])
        self.errors = parts.T @ drawn
        drawn[: len(group)] -= member @ (self.errors / self._counts[:, None])
        self.drawn = drawn.astype(np.float32)

    def table(self) -> list[Share]:
        """The share of each label, cut to what a share can be."""
        total, spread = self._counts.sum(), CLOSE * self.errors.std(1)
        ends = np.clip([self.shares, self.shares - spread, self.shares + spread], 0, 1)
        rows = zip(self._counts / total, *ends, strict=True)
        return [Share(*(float(value) for value in row)) for row in rows]

    def ks(self, reference: NDArray[np.floating], window: NDArray[np.floating]) -> float:
        """The p-value of all columns together: how often chance moves one as far as the furthest one is."""
        found, drawn = 0.0, np.zeros(DRAWS)
        for column in np.concatenate([reference, window]).T:
            order = np.argsort(column, kind="stable")
            ends = np.flatnonzero(np.diff(column[order]))
            if len(ends):
                found = max(found, float(np.abs(np.cumsum(self.weights[order])[ends]).max()))
                sums = np.cumsum(self.drawn[order], axis=0)[ends]
                drawn = np.maximum(drawn, np.abs(sums).max(0))
        return _p(found, drawn)

    def mmd(self, reference: NDArray[np.floating], window: NDArray[np.floating]) -> float:
        """The p-value of the maximum mean discrepancy."""
        kernel = _kernel(np.concatenate([reference, window]).astype(np.float32))
        drawn = ((kernel @ self.drawn) * self.drawn).sum(0, dtype=np.float64)
        return _p(float(self.weights @ kernel @ self.weights), drawn)


def entropy(probabilities: NDArray[np.float32]) -> Array:
    """How undecided answers are: [N, 1]."""
    known = np.clip(probabilities.astype(np.float64), 1e-12, 1)
    entropies: Array = -(known * np.log(known)).sum(1, keepdims=True)
    return entropies


def _kernel(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gaussian, with the median of the distances as its width: [N, N]."""
    squares = (rows**2).sum(1)
    distances = np.maximum(squares[:, None] + squares - 2 * rows @ rows.T, 0)
    kernel: NDArray[np.float32] = np.exp(-distances / (np.median(distances) or 1.0))
    return kernel


def _p(found: float, drawn: Array) -> float:
    return float((1 + (drawn >= found).sum()) / (1 + len(drawn)))
