"""Running a packaged model with ONNX Runtime; needs no torch."""

import ctypes
import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bonafide.cores import available_cores
from bonafide.errors import PackageError
from bonafide.model.info import MODEL, ModelInfo

KINDS = {"uint8": "tensor(uint8)", "float32": "tensor(float)"}


def return_freed_memory() -> None:
    """Give back to the system what loading took and freed, tens of MB; only glibc can."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class OnnxModel:
    """The graph of a verified package, or of a checkpoint.

    The bytes that are loaded are the bytes that are checked, so a file swapped after verification is refused.

    Args:
        folder: holds ``model.onnx``.
        info: what is known of it: for a package, what :func:`bonafide.model.package.verify` returned.
        threads: of one run; never above the cores; all cores if None.

    Raises:
        PackageError: ``model.onnx`` is not the verified one, or its inputs and outputs are not a package's.
    """

    def __init__(self, folder: Path, info: ModelInfo, threads: int | None = None) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # its wheels report usage over the network
        import onnxruntime

        path = folder / MODEL
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != info.model_digest:
            raise PackageError(f"{path} is not the verified model; fetch or build the package again")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(threads or available_cores(), available_cores())
        options.inter_op_num_threads = 1
        options.enable_mem_pattern = False  # for batches of one size; with many it only takes memory
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors share no base class below Exception
            raise PackageError(
                f"{path}: ONNX Runtime cannot load it: {error}; build the package again"
            ) from error
        self._session._model_bytes = None  # kept for set_providers: the model a second time
        self.info = info
        self._check_graph(path)

    def run(
        self, values: npt.NDArray[Any], outputs: Sequence[str] = ("probabilities",)
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Score a batch; safe to call from several threads.

        Args:
            values: [N, *``info.input.shape``] of ``info.input.dtype``: pixels or a table's columns.
            outputs: of ``info.outputs``, all float32: ``probabilities`` [N, K], ``embedding`` [N, E],
                ``heatmap`` [N, h, w].
        """
        wanted = list(outputs)
        return dict(zip(wanted, self._session.run(wanted, {self.info.input.tensor: values}), strict=True))

    def _check_graph(self, path: Path) -> None:
        taken = self.info.input
        expected = {
            taken.tensor: (KINDS[taken.dtype.name], [*taken.shape]),
            "probabilities": ("tensor(float)", [len(self.info.labels)]),
        }
        if self.info.embedding_size is not None:
            expected["embedding"] = ("tensor(float)", [self.info.embedding_size])
        if self.info.heatmap_size is not None:
            expected["heatmap"] = ("tensor(float)", [*self.info.heatmap_size])
        found = {node.name: node for node in (*self._session.get_inputs(), *self._session.get_outputs())}
        for name, (kind, shape) in expected.items():
            if name not in found or not _fits(found[name], kind, shape):
                actual = f"{found[name].type} {found[name].shape}" if name in found else "nothing"
                raise PackageError(
                    f"{path}: {name} must be {kind} [N, {str(shape)[1:]}, the graph has {actual}"
                )
        if extra := set(found) - set(expected):
            raise PackageError(f"{path}: the graph has {sorted(extra)}, which no package knows")


def _fits(node: Any, kind: str, shape: list[int]) -> bool:
    """A symbolic dimension fits any number; the first one must be symbolic."""
    batch, *rest = node.shape or [1]
    same = len(rest) == len(shape) and all(
        not isinstance(found, int) or found == wanted for found, wanted in zip(rest, shape, strict=True)
    )
    return node.type == kind and not isinstance(batch, int) and same
