"""Asking a model, packaged or served; both answer with the same type."""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bonafide.errors import BonafideError
from bonafide.model.decision import decide

BATCH = 32
BATCH_BYTES = 24 * 2**20
TIMEOUT_SECONDS = 60

Array = npt.NDArray[np.float32]


class ServerError(BonafideError):
    """A server is away, refuses the request or answers what cannot be understood."""


@dataclass(frozen=True)
class Predictions:
    """Answers for N images: ``names`` [N] are their labels, ``uncertain`` is bool [N].

    ``probabilities`` is float32 [N, K] with columns named by ``labels``; ``heatmaps`` is float32 [N, h, w],
    zero or above, or None if not asked for.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    uncertain: npt.NDArray[np.bool_]
    probabilities: Array
    heatmaps: Array | None
    model: str
    version: str


def predict_local(
    package: Path, images: Sequence[bytes], heatmap: bool, public_key: Path, version: str = ""
) -> Predictions:
    """Score one or more image files with a package on this machine.

    Args:
        version: of the model; without it the beginning of the model's digest.

    Raises:
        PackageError: the package is refused.
        ImageError: a file is refused.
    """
    from bonafide.serving.compute.engine import Engine

    engine = Engine(package, public_key)
    outputs = ("probabilities", "heatmap") if heatmap else ("probabilities",)
    scores = [engine.score(engine.decode(batch), outputs) for batch in _batches(images)]
    probabilities = np.concatenate([part["probabilities"] for part in scores])
    decided = decide(probabilities, engine.info.labels, engine.info.decision)
    return Predictions(
        engine.info.labels,
        tuple(engine.info.labels[label] for label in decided.label),
        decided.uncertain,
        probabilities,
        np.concatenate([part["heatmap"] for part in scores]) if heatmap else None,
        engine.info.task,
        version or engine.info.model_digest[:12],
    )


def predict_remote(url: str, images: Sequence[bytes], model: str | None, heatmap: bool) -> Predictions:
    """Score one or more image files with a server over the Open Inference Protocol v2.

    Args:
        url: of the server, e.g. ``http://127.0.0.1:8080``.
        model: its name; may be None where the server has one only.

    Raises:
        ServerError: no answer, a refusal (its reason is told) or an answer unlike a Bonafide predictor's.
    """
    import httpx

    try:
        with httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS) as client:
            name = model or _only_model(_json(client.get("/v2/models")), url)
            outputs = ["label", "uncertain", "probabilities", *(["heatmap"] if heatmap else [])]
            path = f"/v2/models/{name}/infer"
            answers = [_json(client.post(path, json=_question(batch, outputs))) for batch in _batches(images)]
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise ServerError(
            f"no answer from {url}: {error}; check --url, or start a server with 'bonafide serve PACKAGE'"
        ) from error
    return _predictions(answers, heatmap, url)


def _batches(images: Sequence[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for image in images:
        if batch and (len(batch) == BATCH or sum(map(len, batch)) + len(image) > BATCH_BYTES):
            yield batch
            batch = []
        batch.append(image)
    if batch:
        yield batch


def _question(images: list[bytes], outputs: list[str]) -> dict[str, Any]:
    data = [base64.b64encode(image).decode() for image in images]
    return {
        "inputs": [{"name": "image", "shape": [len(images)], "datatype": "BYTES", "data": data}],
        "outputs": [{"name": name} for name in outputs],
    }


def _only_model(listing: Any, url: str) -> str:
    models = listing.get("models", []) if isinstance(listing, dict) else []
    if len(models) != 1:
        raise ServerError(f"{url} has the models {models}; name one with --model")
    return str(models[0])


def _json(response: Any) -> Any:
    try:
        content = response.json()
    except ValueError:
        content = response.text[:200]
    if response.is_success and isinstance(content, dict):
        return content
    reason = content.get("error", content) if isinstance(content, dict) else content
    raise ServerError(f"{response.url} answered {response.status_code}: {reason}")


def _predictions(answers: list[Any], heatmap: bool, url: str) -> Predictions:
    try:
        first = answers[0]
        return Predictions(
            tuple(json.loads(first["parameters"]["labels"])),
            tuple(name for answer in answers for name in _output(answer, "label", np.str_).tolist()),
            np.concatenate([_output(answer, "uncertain", np.bool_) for answer in answers]),
            np.concatenate([_output(answer, "probabilities") for answer in answers]),
            np.concatenate([_output(answer, "heatmap") for answer in answers]) if heatmap else None,
            first["model_name"],
            first["parameters"]["model_version"],
        )
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise ServerError(f"{url} did not answer as a Bonafide predictor does: {error!r}") from error


def _output(answer: Any, name: str, kind: type[np.generic] = np.float32) -> npt.NDArray[Any]:
    tensor = next(output for output in answer["outputs"] if output["name"] == name)
    return np.array(tensor["data"], dtype=kind).reshape(tensor["shape"])
