"""Samples that a Prometheus keeps, with the labels that ``infra/monitoring/predictors.yaml`` adds."""

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from bonafide.delivery.rollout.samples import NONE, Series, joined
from bonafide.errors import DeliveryError
from bonafide.home import without_secrets

TOKEN_FILE = "BONAFIDE_PROMETHEUS_TOKEN_FILE"  # noqa: S105  (a name)
TIMEOUT = httpx.Timeout(30, connect=5)
# An answer is text, many times as large as the numbers in it.
PART_SECONDS = 6 * 3600.0
# What tells where a series was scraped; the rest are the metric's own labels.
TARGET = {
    "__name__",
    "container",
    "endpoint",
    "inferenceservice",
    "instance",
    "job",
    "namespace",
    "pod",
    "predictor",
}
Labels = frozenset[tuple[str, str]]
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)


class Prometheus:
    """The samples of one InferenceService, asked over HTTP.

    A bearer token is read at each question from the file that ``BONAFIDE_PROMETHEUS_TOKEN_FILE`` names.

    Args:
        url: for example ``http://prometheus-operated.monitoring.svc:9090``.
        service: name of the InferenceService, which is the task's.
    """

    def __init__(self, url: str, namespace: str, service: str) -> None:
        self._url = url.rstrip("/")
        self._whose = {"namespace": namespace, "inferenceservice": service}

    def read(
        self, metric: str, start: float, end: float, step: float = 0, where: Mapping[str, str] = NONE
    ) -> Sequence[Series]:
        """All series of a metric from ``start`` to ``end``, in seconds since 1970.

        Args:
            step: asks for one value every ``step`` seconds, from ``start`` on; 0 for the samples as scraped.

        Raises:
            DeliveryError: Prometheus does not answer, refuses the question, or says something else.
        """
        chosen = ",".join(f'{name}="{value}"' for name, value in {**self._whose, **where}.items())
        selector = f"{metric}{{{chosen}}}"
        if step:
            span = {"query": selector, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
            return list(self._found(metric, "query_range", span).values())
        parts: dict[Labels, list[Series]] = {}
        for first, last in pairwise([*np.arange(start, end, PART_SECONDS), end]):
            for labels, part in self._found(metric, "query", _past(selector, first, last)).items():
                parts.setdefault(labels, []).append(part)
        return [joined(each) for each in parts.values()]

    def _found(self, metric: str, path: str, question: Mapping[str, str]) -> dict[Labels, Series]:
        """By all labels: two series of a pod may differ in those that tell where it was scraped."""
        try:
            return {
                frozenset(each["metric"].items()): _series(metric, each["metric"], each["values"])
                for each in self._ask(path, question)
            }
        except UNREADABLE as error:
            raise DeliveryError(f"{self._where} answers what cannot be read: {error!r}") from error

    @cached_property
    def _client(self) -> httpx.Client:
        return httpx.Client(timeout=TIMEOUT)

    @property
    def _where(self) -> str:
        return f"Prometheus at {without_secrets(self._url)}"

    def _ask(self, path: str, question: Mapping[str, str]) -> list[Any]:
        try:
            answer = self._client.post(f"{self._url}/api/v1/{path}", data=question, headers=_authorization())
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise DeliveryError(
                f"{self._where} cannot be reached: {reason}; is the address right?"
            ) from error
        try:
            content = answer.json()
            if answer.is_success:
                return list(content["data"]["result"])
            told = str(content["error"])
        except UNREADABLE as error:
            if answer.is_success:
                raise DeliveryError(
                    f"{self._where} answers no JSON of Prometheus; is the address right?"
                ) from error
            told = answer.reason_phrase
        raise DeliveryError(f"{self._where} answers {answer.status_code}: {told}")


def _past(selector: str, start: float, end: float) -> dict[str, str]:
    past = f"[{max(1, round(1000 * (end - start)))}ms]"
    return {"query": selector + past, "time": f"{end:.3f}"}


def _authorization() -> dict[str, str]:
    if not (place := os.environ.get(TOKEN_FILE)):
        return {}
    try:
        return {"Authorization": f"Bearer {Path(place).read_text().strip()}"}
    except (OSError, UnicodeDecodeError) as error:
        raise DeliveryError(f"{TOKEN_FILE} is {place}, which cannot be read: {error}") from error


def _series(metric: str, labels: Mapping[str, str], samples: Sequence[tuple[float, str]]) -> Series:
    """Without the values that are no numbers, which is how a gap is told."""
    if not {"predictor", "pod"} <= set(labels):
        raise KeyError(f"{metric} without the labels predictor and pod; see infra/monitoring/predictors.yaml")
    values = np.array([(time, float(value)) for time, value in samples], np.float64).reshape(-1, 2)
    values = values[np.isfinite(values[:, 1])]
    own = {name: value for name, value in labels.items() if name not in TARGET}
    return Series(labels["predictor"], labels["pod"], metric, own, values[:, 0], values[:, 1])
