"""Exact duplicates by content digest and near duplicates by perceptual hash."""

import itertools
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

HASH_BITS = 64


def exact_duplicates(digests: Sequence[str]) -> list[list[int]]:
    """The positions that share a digest, two or more a list, in order of first appearance."""
    positions: dict[str, list[int]] = defaultdict(list)
    for position, digest in enumerate(digests):
        positions[digest].append(position)
    return [same for same in positions.values() if len(same) > 1]


def near_pairs(hashes: NDArray[np.uint64], distance: int) -> NDArray[np.int64]:
    """All pairs of 64-bit hashes whose Hamming distance is at most ``distance``.

    Two hashes that differ in d bits agree on at least one of d + 1 bands of bits (pigeonhole), so only
    hashes that share a band are compared: near linear in the number of distinct hashes while bands are
    wide, that is, for small distances.

    Args:
        hashes: uint64 [N].
        distance: Hamming bits, 0 to 63.

    Returns:
        int64 [M,2], each row (i, j) with i < j, sorted, without repetition.
    """
    found = [
        near[np.bitwise_count(hashes[near[:, 0]] ^ hashes[near[:, 1]]) <= distance]
        for mask in _bands(distance + 1)
        for near in _equal_pairs(hashes & mask)
    ]
    if not found:
        return np.empty((0, 2), dtype=np.int64)
    return np.unique(np.sort(np.concatenate(found), axis=1), axis=0)


def _bands(count: int) -> list[np.uint64]:
    """``count`` masks that part the 64 bits."""
    edges = [HASH_BITS * index // count for index in range(count + 1)]
    return [np.uint64((1 << high) - (1 << low)) for low, high in itertools.pairwise(edges)]


def _equal_pairs(keys: NDArray[np.uint64]) -> list[NDArray[np.int64]]:
    """Pairs of positions with equal keys, in pieces: the k-th follower of each position in sorted order."""
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    ends = np.searchsorted(ranked, ranked, side="right")
    active = np.arange(len(keys))
    pieces = []
    step = 1
    while len(active := active[active + step < ends[active]]):
        pieces.append(np.stack([order[active], order[active + step]], axis=1))
        step += 1
    return pieces
