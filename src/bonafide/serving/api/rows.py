"""The paths of the service API that answer about rows of a table."""

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from itertools import chain, islice
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import from_json
from typing_extensions import TypedDict

from bonafide.features import LARGEST, Feature
from bonafide.serving.api import contract, examples, paths, problems
from bonafide.serving.api.bodies import Bodies
from bonafide.serving.api.door import Door
from bonafide.serving.api.payload import refuse_other_than_json
from bonafide.serving.api.problems import Problem
from bonafide.serving.api.schemas import Batch, BatchItem, Prediction, verdict
from bonafide.serving.api.topic import Topic
from bonafide.serving.api.upstream import Upstream
from bonafide.serving.columns import Columns
from bonafide.serving.edge.body import Buffer
from bonafide.serving.edge.limits import MAXIMUM_ROWS, MIB, Limits
from bonafide.serving.errors import Overloaded, RequestError
from bonafide.telemetry.logs import request_id

DESCRIPTION = """Send a row's numbers by the names of their columns and get the label that the model finds
most probable, with calibrated probabilities of all labels.

A number that is missing, out of its range or of another type is refused by its name."""
BODY_BYTES = 2 * MIB
REFUSALS = 1024
UNASKED = "not asked about: the model refuses too many rows of this list; send fewer at once"
GROWTH = 24  # an empty list takes three bytes in JSON, and 72 once it is read

Row = dict[str, float]


def row_type(features: Sequence[Feature]) -> TypeAdapter[Row]:
    """What a row must be: each column, a number within its range, and nothing else."""
    named: Any = {feature.name: _number(feature) for feature in features}
    strict: Any = with_config(ConfigDict(extra="forbid"))
    return TypeAdapter(strict(TypedDict("Row", named)))  # type: ignore[operator]


def _number(feature: Feature) -> Any:
    described = Field(
        strict=True,
        ge=-LARGEST if feature.low is None else feature.low,
        le=LARGEST if feature.high is None else feature.high,
        multiple_of=1 if feature.whole else None,
        allow_inf_nan=False,
        description=f"In {feature.unit}." if feature.unit else None,
    )
    return Annotated[float, described]


def example(features: Sequence[Feature]) -> Row:
    """A row from the middle of each range."""
    return {feature.name: _middle(feature) for feature in features}


def _middle(feature: Feature) -> float:
    low, high = feature.low, feature.high
    if low is None or high is None:
        middle = next((bound for bound in (low, high) if bound is not None), 0.0)
    else:
        middle = (low + high) / 2
    return float(np.ceil(middle)) if feature.whole else middle


class Endpoints:
    """What each path does."""

    def __init__(
        self, upstream: Upstream, door: Door, limits: Limits, row: TypeAdapter[Row], names: Set[str]
    ) -> None:
        self._upstream = upstream
        self._door = door
        self._bodies = Bodies(replace(limits, body=BODY_BYTES), GROWTH)
        self._row = row
        self._names = names

    async def predict(self, request: Request) -> Prediction:
        """Send one row."""
        async with self._bodies.of(request) as content:
            row = self._checked(_read(request, content))
            if isinstance(row, Problem):
                raise row
            answer = await self._upstream.infer(_columns([row]))
        return Prediction(request_id=request_id.get(), **dict(verdict(answer, 0)))

    async def batch(self, request: Request) -> Batch:
        """Send a list of rows; one that is refused does not spoil the others."""
        async with self._bodies.of(request) as content:
            rows = _read(request, content)
            if not isinstance(rows, list) or not rows:
                raise Problem(400, "send a list of rows, with one at least")
            if len(rows) > MAXIMUM_ROWS:
                raise Problem(413, f"{len(rows):,} rows are too many; send {MAXIMUM_ROWS:,} at most")
            if len(rows) > 1:
                await self._door.count(request, len(rows))
            return Batch(request_id=request_id.get(), results=await self._results(rows))

    async def _results(self, rows: list[Any]) -> list[BatchItem]:
        checked = [self._checked(row, most=1) for row in rows]
        good = [row for row in checked if not isinstance(row, Problem)]
        told = iter(await self._answered(good, iter(range(REFUSALS))) if good else [])
        return [_item(row) if isinstance(row, Problem) else next(told) for row in checked]

    async def _answered(self, rows: list[Row], refusals: Iterator[int]) -> list[BatchItem]:
        """Halves of what is refused are asked again, until each row that is at fault stands alone.

        So it is where the model that answers has other columns or ranges than the one that was told of. After
        ``REFUSALS`` no more is halved.

        Raises:
            Overloaded: there is no answer now.
        """
        try:
            answer = await self._upstream.infer(_columns(rows))
        except RequestError as error:
            half = len(rows) // 2
            if not half:
                return [_item(problems.of(error))]
            if next(refusals, None) is None:
                return [_item(Problem(400, UNASKED))] * len(rows)
            return [each for part in (rows[:half], rows[half:]) for each in await self._half(part, refusals)]
        return [BatchItem(verdict=verdict(answer, index)) for index in range(len(rows))]

    async def _half(self, rows: list[Row], refusals: Iterator[int]) -> list[BatchItem]:
        try:
            return await self._answered(rows, refusals)
        except Overloaded as error:  # others may have their answers already
            return [_item(problems.of(error))] * len(rows)

    def _checked(self, row: Any, most: int = problems.MOST_ERRORS) -> Row | Problem:
        """Of many rows, or many names, the names alone are told of: pydantic would make an error for each."""
        many = most == 1 or (isinstance(row, dict) and len(row) > len(self._names) + most)
        if many and isinstance(row, dict) and row.keys() != self._names:
            return problems.misfit(422, "the row", _misnamed(row.keys(), self._names, most))
        try:
            return self._row.validate_python(row)
        except ValidationError as error:
            return problems.misfit(
                422, "the row", error.errors(include_url=False, include_input=False)[:most]
            )


def _misnamed(given: Set[str], names: Set[str], most: int) -> list[dict[str, Any]]:
    """What is missing and what is too much, in pydantic's words."""
    missing = ({"loc": (name,), "msg": "Field required"} for name in sorted(names - given))
    extra = ({"loc": (name,), "msg": "Extra inputs are not permitted"} for name in given - names)
    return [*islice(chain(missing, extra), most)]


def _item(problem: Problem) -> BatchItem:
    return BatchItem(problem=problems.details(problem, paths.BATCH))


def _read(request: Request, content: Buffer) -> Any:
    refuse_other_than_json(request)
    try:
        return from_json(bytes(content))
    except ValueError as error:
        raise Problem(400, f"the body is no valid JSON: {error}") from error


def _columns(rows: Sequence[Row]) -> Columns:
    names = rows[0].keys()
    return {name: np.array([row[name] for row in rows]) for name in names}


def router(upstream: Upstream, door: Door, limits: Limits, topic: Topic) -> APIRouter:
    """Paths, what they need and what they answer."""
    row = row_type(topic.features)
    endpoints = Endpoints(upstream, door, limits, row, {feature.name for feature in topic.features})
    schema, given, said = row.json_schema(), example(topic.features), examples.verdict(topic)
    rows = {"type": "array", "items": schema, "minItems": 1, "maxItems": MAXIMUM_ROWS}
    one = _documented(schema, given, examples.ID | said)
    several = _documented(rows, [given], examples.ID | {"results": [{"verdict": said}]})
    return paths.router(
        "rows",
        door,
        (paths.ONE, endpoints.predict, "One row", one),
        (paths.BATCH, endpoints.batch, "Several rows", several),
    )


def _documented(schema: dict[str, Any], given: Any, said: Any) -> dict[str, Any]:
    """What is sent and what is answered, each with an example."""
    return {
        "responses": contract.answered(said) | contract.problems(422),
        "openapi_extra": contract.json_body(schema, given),
    }
