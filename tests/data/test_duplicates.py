import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bonafide.data.duplicates import exact_duplicates, near_pairs


def brute_force(hashes: np.ndarray, distance: int) -> set[tuple[int, int]]:
    return {
        (i, j)
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if int(hashes[i] ^ hashes[j]).bit_count() <= distance
    }


@settings(max_examples=150, deadline=None)
@given(data=st.data(), distance=st.integers(0, 16))
def test_near_pairs_are_those_of_brute_force(data, distance):
    centres = data.draw(st.lists(st.integers(0, 2**64 - 1), max_size=8))
    flips = st.lists(st.integers(0, 63), max_size=distance + 2)
    hashes = list(centres)
    for centre in centres:
        for bits in data.draw(st.lists(flips, max_size=4)):
            changed = centre
            for bit in bits:
                changed ^= 1 << bit
            hashes.append(changed)
    array = np.array(hashes, dtype=np.uint64)
    pairs = near_pairs(array, distance)
    assert pairs.dtype == np.int64
    assert pairs.shape == (len(pairs), 2)
    assert {tuple(pair) for pair in pairs.tolist()} == brute_force(array, distance)
    assert len({tuple(pair) for pair in pairs.tolist()}) == len(pairs)


def test_many_distinct_hashes_are_not_compared_with_each_other():
    hashes = np.random.default_rng(1).integers(0, 2**64, 300_000, dtype=np.uint64)
    hashes[-1] = hashes[0] ^ np.uint64(0b101)
    assert near_pairs(hashes, 2).tolist() == [[0, 299_999]]


def test_exact_duplicates_in_order_of_appearance():
    assert exact_duplicates(["b", "a", "c", "a", "b", "a"]) == [[0, 4], [1, 3, 5]]
    assert exact_duplicates([]) == []
