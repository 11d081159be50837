"""Reads the predictors' counters now and then, as Prometheus would, and keeps what a judge needs."""

import asyncio
import logging
import time

import httpx
from prometheus_client.parser import text_string_to_metric_families

from bonafide.delivery.local.fleet import Fleet
from bonafide.delivery.local.predictor import Predictor
from bonafide.delivery.rollout.checks import COUNTERS
from bonafide.delivery.rollout.measure import LOADED
from bonafide.delivery.rollout.recorded import Found, Recorded
from bonafide.errors import DeliveryError

logger = logging.getLogger(__name__)

NAMES = {LOADED, *(counter.metric for counter in COUNTERS)}


async def record(fleet: Fleet, recorded: Recorded, seconds: float) -> None:
    """Scrape every predictor that answers, for ever. Trouble is logged once."""
    trouble = ""
    while True:
        try:
            await asyncio.gather(*(_scrape(predictor, recorded) for predictor in fleet.ready))
            trouble = ""
        except (DeliveryError, httpx.HTTPError, ValueError) as error:
            if repr(error) != trouble:
                logger.warning("samples are missing: %r", error)
            trouble = repr(error)
        await asyncio.sleep(seconds)


async def _scrape(predictor: Predictor, recorded: Recorded) -> None:
    pod, begun = predictor.pod, time.time()
    answer = await predictor.http.get(f"{predictor.url}/metrics")
    answer.raise_for_status()
    await asyncio.to_thread(lambda: recorded.append(predictor.name, pod, begun, samples(answer.text)))


def samples(text: str) -> Found:
    """What a judge needs of a predictor's metrics, in Prometheus' text format."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in NAMES:
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found
