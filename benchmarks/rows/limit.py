"""The machine's limit: ONNX Runtime on one row in a bare loop, with nothing served.

``python -m benchmarks.rows.limit GRAPH ROWS SECONDS`` prints rows a second; run it on the cores in question.
"""

import sys
from pathlib import Path

import numpy as np

from benchmarks.serving.limit import rate, session
from bonafide.cores import available_cores


def main(graph: Path, rows: int, seconds: float) -> float:
    """Rows a second, of one thread a core."""
    model = session(graph, 1)
    width = model.get_inputs()[0].shape[1]
    given = np.random.default_rng(0).uniform(0.1, 8, (rows, 1, width)).astype(np.float32)
    return rate(
        lambda turn: model.run(["probabilities"], {"columns": given[turn % rows]}), available_cores(), seconds
    )


if __name__ == "__main__":
    path, count, time = sys.argv[1:]
    print(main(Path(path), int(count), float(time)))
