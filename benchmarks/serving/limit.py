"""The machine's limit: decoding and ONNX Runtime in bare loops, with nothing served.

``python -m benchmarks.serving.limit GRAPH FOLDER SIZE SECONDS`` prints JSON; run it on the cores in question.
"""

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import onnxruntime

from bonafide.cores import available_cores
from bonafide.data.decoding import decode_to

WARM_UP = 10


def main(graph: Path, folder: Path, size: int, seconds: float) -> dict[str, float]:
    """Images a second of each arrangement, and the milliseconds of one image's decoding and inference."""
    cores = available_cores()
    jpegs = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
    pixels = [decode_to(jpeg, size)[None] for jpeg in jpegs]
    narrow, wide = session(graph, 1), session(graph, cores)

    def run(model: Any, image: Any) -> None:
        model.run(["probabilities"], {"pixels": image})

    def both(model: Any, jpeg: bytes) -> None:
        run(model, decode_to(jpeg, size)[None])

    count = len(jpegs)
    return {
        "runs": rate(lambda turn: run(narrow, pixels[turn % count]), cores, seconds),
        "runs, one at a time": rate(lambda turn: run(wide, pixels[turn % count]), 1, seconds),
        "decode and run": rate(lambda turn: both(narrow, jpegs[turn % count]), cores, seconds),
        "decode and run, one at a time": rate(lambda turn: both(wide, jpegs[turn % count]), 1, seconds),
        "decode ms": 1000 / rate(lambda turn: decode_to(jpegs[turn % count], size), 1, seconds / 2),
        "run ms": 1000 / rate(lambda turn: run(narrow, pixels[turn % count]), 1, seconds / 2),
    }


def session(graph: Path, threads: int) -> onnxruntime.InferenceSession:
    """With the options that Bonafide gives it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_mem_pattern = False  # as in bonafide.model.runtime
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def rate(work: Callable[[int], Any], threads: int, seconds: float) -> float:
    """Times a second that ``threads`` threads together get ``work`` done."""
    for turn in range(WARM_UP):
        work(turn)
    counts = np.zeros(threads, int)
    begin = perf_counter()

    def loop(thread: int) -> None:
        while perf_counter() < begin + seconds:
            work(int(counts[thread]))
            counts[thread] += 1

    loops = [threading.Thread(target=loop, args=(thread,)) for thread in range(threads)]
    for thread in loops:
        thread.start()
    for thread in loops:
        thread.join()
    return float(counts.sum() / (perf_counter() - begin))


if __name__ == "__main__":
    path, images, side, time = sys.argv[1:]
    print(json.dumps(main(Path(path), Path(images), int(side), float(time))))
