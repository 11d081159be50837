"""The smoke test: a service is asked at a steady rate for a while, and every answer is looked at."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np

from bonafide.delivery.checkout import checkout
from bonafide.delivery.repository import ROLLED_BACK, history
from bonafide.errors import DeliveryError
from bonafide.serving.answer import Answer
from bonafide.serving.client import Client
from bonafide.serving.errors import Overloaded, RequestError

IMAGES, SIDE = 8, 256
SURE = 1e-3  # how far probabilities may be from 1 together
WAIT_SECONDS = 60


@dataclass(frozen=True)
class Limits:
    """The share of requests that may fail, and the milliseconds within which 95 % must be answered."""

    errors: float
    p95: float


@dataclass
class Seen:
    """What came of the requests: milliseconds of those that were answered well, reasons of the others."""

    milliseconds: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)

    @property
    def asked(self) -> int:
        """How many requests there were."""
        return len(self.milliseconds) + self.failures.total()

    @property
    def p95(self) -> float:
        """The 95th percentile of the milliseconds; NaN without an answer."""
        return float(np.quantile(self.milliseconds, 0.95)) if self.milliseconds else float("nan")

    def broken(self, limits: Limits) -> str:
        """Which limits are broken, in words; empty for none."""
        found = []
        if self.failures.total() > limits.errors * self.asked:
            reason, times = self.failures.most_common(1)[0]
            found.append(
                f"{self.failures.total()} of {self.asked} requests failed, {limits.errors:.1%} may; "
                f"most often ({times}): {reason}"
            )
        if self.p95 > limits.p95:
            found.append(f"95 % were answered within {self.p95:.0f} ms, {limits.p95:.0f} ms is the limit")
        return "; ".join(found)


def smoke(url: str, model: str, host: str, rate: float, seconds: float) -> Seen:
    """Ask a service ``rate`` times a second, however slowly it answers, as independent users would.

    Args:
        model: its name; may be empty where the server has one only.
        host: that is asked for, where ``url`` is a gateway that many hosts share.

    Raises:
        ConfigError: ``url`` is no address.
    """
    return asyncio.run(_smoke(Client(url, model, host), rate, seconds))


def refuse_second_rollback(place: str, environment: str, task: str) -> None:
    """Stop here if what serves is there by a rollback: then the version is not what is wrong.

    Raises:
        DeliveryError: says so; or the repository cannot be reached.
    """
    with checkout(place) as delivery:
        commit, told = next(history(delivery, environment, task), (None, {}))
    if commit and ROLLED_BACK in told:
        raise DeliveryError(
            f"{task} was rolled back in {environment} already, by commit {commit.hexsha[:12]}, and its "
            "smoke test fails as before; look at the environment"
        )


async def _smoke(client: Client, rate: float, seconds: float) -> Seen:
    seen, images = Seen(), [_image(seed) for seed in range(IMAGES)]
    try:
        await _until_ready(client)
        begin = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(max(1, round(rate * seconds))):
                await asyncio.sleep(begin + number / rate - time.monotonic())
                group.create_task(_ask(client, images[number % IMAGES], seen))
    finally:
        await client.close()
    return seen


async def _until_ready(client: Client) -> None:
    """A route may come later than the pods behind it. Without one in the end, the requests fail."""
    until = time.monotonic() + WAIT_SECONDS
    while not await client.ready() and time.monotonic() < until:
        await asyncio.sleep(1)


async def _ask(client: Client, image: bytes, seen: Seen) -> None:
    begin = time.monotonic()
    try:
        answer = await client.infer([image])
    except (RequestError, Overloaded) as error:
        seen.failures[str(error)] += 1
        return
    if wrong := _wrong(answer):
        seen.failures[wrong] += 1
        return
    seen.milliseconds.append(1000 * (time.monotonic() - begin))
    seen.versions[answer.version] += 1


def _wrong(answer: Answer) -> str:
    """What is wrong with an answer about one image; empty if it is well-formed."""
    try:
        shares, (name,) = answer.probabilities, answer.names
    except (KeyError, ValueError, AttributeError) as error:
        return f"an answer lacks a part: {error!r}"
    if shares.shape != (1, len(answer.labels)):
        return f"probabilities have the shape {shares.shape} for {len(answer.labels)} labels"
    if not (shares >= 0).all() or not abs(float(shares.sum()) - 1) <= SURE:
        return "probabilities are not between 0 and 1, or do not add up to 1"
    if name not in answer.labels:
        return f"the label {name!r} is none of the model's"
    return ""


def _image(seed: int) -> bytes:
    """A picture of coloured noise: a model may say anything of it, but must say something."""
    from PIL import Image

    coarse = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
    file = BytesIO()
    Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()
