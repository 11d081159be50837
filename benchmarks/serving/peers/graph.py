"""The graph as peers run it with ONNX Runtime."""

import os

import onnxruntime

SIZE = 224


def open_session(path: str) -> onnxruntime.InferenceSession:
    """A session with default options, on the cores that the process was given.

    Left to itself ONNX Runtime pins threads to all cores of the machine, also to those that it was not given.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
