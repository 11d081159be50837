"""How often another mix alone passes for other looks, by the groups of the reference's scarcest label.

Three labels that look as before. The reference has 60 images of two of them, each a group of its own, and few
of the third, which is half of a window of 200. Counted is what our own test would let pass, if the detectors
are sure that something differs. Prints a table; no model and no detector is needed.
"""

import numpy as np
from numpy.typing import NDArray

from bonafide.drift.judge import LOOKS, holm
from bonafide.drift.mix import Known, Mixture, entropy

RUNS, SEED, LEVEL = 200, 31, 0.05
SIZE, APART, ALIKE, OTHERS, WINDOW = 6, 2.0, 0.5, 60, 200
GROUPS, IMAGES = (5, 8, 10, 15, 20, 30), (1, 4)

Array = NDArray[np.float32]


def drawn(
    random: np.random.Generator, label: NDArray[np.int64], group: NDArray[np.int64]
) -> tuple[Array, Array]:
    """Normal embeddings, of whose variance a group shares ``ALIKE``, and their true probabilities."""
    middles = APART * np.eye(3, SIZE)
    shared = random.normal(size=(group.max() + 1, SIZE))[group]
    own = random.normal(size=(len(label), SIZE))
    embedding = middles[label] + np.sqrt(ALIKE) * shared + np.sqrt(1 - ALIKE) * own
    powers = np.exp(-((embedding[:, None] - middles) ** 2).sum(2) / 2)
    return embedding.astype(np.float32), (powers / powers.sum(1, keepdims=True)).astype(np.float32)


def passes(groups: int, images: int, run: int) -> bool:
    """Whether one run says that looks differ."""
    random = np.random.default_rng([SEED, groups, images, run])
    label = np.repeat([0, 1, 2], [OTHERS, OTHERS, groups * images])
    group = np.concatenate([np.arange(2 * OTHERS), 2 * OTHERS + np.repeat(np.arange(groups), images)])
    known, answers = drawn(random, label, group)
    seen, asked = drawn(random, random.choice(3, WINDOW, p=(0.25, 0.25, 0.5)), np.arange(WINDOW))
    made = Mixture(Known(answers, label, group), asked, run)
    found = made.mmd(known, seen), made.ks(known, seen), made.ks(entropy(answers), entropy(asked))
    return min(holm(dict(zip(LOOKS, found, strict=True))).values()) <= LEVEL


def main() -> None:
    """A row for each number of groups."""
    for images in IMAGES:
        for groups in GROUPS:
            share = np.mean([passes(groups, images, run) for run in range(RUNS)])
            print(f"{groups:3} groups of {images}: {share:6.1%}", flush=True)


if __name__ == "__main__":
    main()
