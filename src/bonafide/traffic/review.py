"""The feedback that people would give about simulated traffic: what its images really are."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx

from bonafide.errors import BonafideError
from bonafide.serving.client import UNREADABLE
from bonafide.traffic.endpoint import UNANSWERED, connected, knock, refusal

if TYPE_CHECKING:
    from bonafide.feedback.reviews import Reviews

NOTE = CONFIRMER = "bonafide simulate"
AT_ONCE = 8
FIRST_SECONDS, LONGEST_SECONDS, PATIENCE_SECONDS = 0.5, 5.0, 60.0
AGAIN = (404, 429, 502, 503, 504)


@dataclass(frozen=True)
class Reviewer:
    """Who gives feedback.

    Attributes:
        share: of the answered requests that are reviewed.
        url: of the service API.
        token: for it; its subject is the reviewer.
        reviews: where feedback is confirmed as well; None where it is not.
    """

    share: float
    url: str
    token: str = field(default="", repr=False)
    reviews: "Reviews | None" = None


@dataclass
class Filed:
    """What became of the feedback; of what failed, how often by reason."""

    filed: int = 0
    confirmed: int = 0
    unfiled: Counter[str] = field(default_factory=Counter)
    unconfirmed: Counter[str] = field(default_factory=Counter)


class Desk:
    """Files feedback; once ``ended`` is set, each is tried one last time."""

    def __init__(self, http: httpx.AsyncClient, reviewer: Reviewer, ended: asyncio.Event) -> None:
        self.outcome = Filed()
        self.share = reviewer.share
        self._http = http
        self._reviews = reviewer.reviews
        self._ended = ended

    async def file(self, prediction: str, label: str) -> None:
        """Say what the image of a prediction is; again for a while if the prediction is on its way."""
        wait, end = FIRST_SECONDS, time.monotonic() + PATIENCE_SECONDS
        while True:
            last = await set_within(self._ended, wait) or time.monotonic() > end
            answer = await self._post(prediction, label)
            if answer is not None and answer.is_success:
                break
            if last or (answer is not None and answer.status_code not in AGAIN):
                reason = UNANSWERED if answer is None else refusal(answer)
                self.outcome.unfiled[reason.replace(prediction, "…")] += 1
                return
            wait = min(2 * wait, LONGEST_SECONDS)
        self.outcome.filed += 1
        if self._reviews:
            await self._confirm(self._reviews, prediction, answer)

    async def _post(self, prediction: str, label: str) -> httpx.Response | None:
        opinion = {"prediction_id": prediction, "label": label, "note": NOTE}
        try:
            return await self._http.post("/feedback", json=opinion)
        except httpx.HTTPError:
            return None

    async def _confirm(self, reviews: "Reviews", prediction: str, answer: httpx.Response) -> None:
        try:
            await asyncio.to_thread(reviews.decide, answer.json()["id"], "confirmed", CONFIRMER)
            self.outcome.confirmed += 1
        except (BonafideError, *UNREADABLE) as error:
            self.outcome.unconfirmed[str(error).replace(prediction, "…")] += 1


@asynccontextmanager
async def at_desk(reviewer: Reviewer, ended: asyncio.Event) -> AsyncIterator[Desk]:
    """Where feedback is filed.

    Raises:
        BonafideError: nobody takes it there, or not from us.
    """
    async with connected(reviewer.url, reviewer.token, AT_ONCE) as http:
        await knock(http, "/feedback", "feedback is taken by: bonafide api --store")
        yield Desk(http, reviewer, ended)


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait that long, or until the event is set."""
    try:
        await asyncio.wait_for(event.wait(), max(0, seconds))
    except TimeoutError:
        return False
    return True
