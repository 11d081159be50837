"""Rows made on the spot."""

import numpy as np
import pandas as pd

from bonafide.data.table import RawRows
from bonafide.features import Feature

LABELS = ("rose", "tulip")
FEATURES = (
    Feature(name="height", unit="cm", low=1, high=200),
    Feature(name="petals", low=3, whole=True),
)


def raw_rows(count: int, **columns) -> RawRows:
    """``count`` distinct rows, labels taking turns; tulips are taller, and petals say nothing."""
    random = np.random.default_rng(1)
    labels = [LABELS[number % 2] for number in range(count)]
    return RawRows(
        pd.DataFrame(
            {
                "height": random.normal([30 + 10 * (label == "tulip") for label in labels], 10).clip(2, 190),
                "petals": random.integers(3, 40, count),
            },
            dtype=object,
        ),
        pd.DataFrame(
            {
                "path": [f"bed.csv#{number}" for number in range(count)],
                "label_name": labels,
                "source": "bed",
                "group": None,
                "given": None,
            }
            | columns,
            dtype=object,
        ),
    )
