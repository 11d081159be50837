"""What the service API answers."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from bonafide import queue
from bonafide.queue import Run
from bonafide.serving.answer import Answer
from bonafide.task import TaskName

MOST_SETTINGS = 32
Share = Annotated[float, Field(ge=0, le=1)]


class Verdict(BaseModel):
    """What the model says."""

    model: Annotated[str, Field(description="Name of the model.")]
    version: Annotated[str, Field(description="Version of the model that answered.")]
    label: Annotated[str, Field(description="The most probable label.")]
    uncertain: Annotated[
        bool,
        Field(description="Whether `confidence` is below the threshold of `label`: let a person decide."),
    ]
    confidence: Annotated[Share, Field(description="The probability of `label`.")]
    probabilities: Annotated[
        dict[str, Share], Field(description="Calibrated probability of each label; they sum to 1.")
    ]
    prediction_id: Annotated[
        str | None,
        Field(description="What feedback is given about; it is there where the prediction is stored."),
    ] = None


class Prediction(Verdict):
    """What the model says about what was sent."""

    request_id: Annotated[str, Field(description="As in the header `X-Request-ID`; it stands in the logs.")]


class Explanation(Prediction):
    """The same, and where the evidence for the label lies."""

    heatmap: Annotated[
        list[list[float]],
        Field(description="Evidence on a coarse grid over the centre square of the image, from its top."),
    ]
    overlay: Annotated[
        str,
        Field(
            description="Base64 of a PNG in the proportions of the upright image, to be stretched over it; "
            "clear where the model did not look.",
            json_schema_extra={"contentEncoding": "base64", "contentMediaType": "image/png"},
        ),
    ]


class FieldProblem(BaseModel):
    """One field that does not fit."""

    field: str
    detail: str


_PROBLEM: dict[str, Any] = {
    "type": "about:blank",
    "title": "Service Unavailable",
    "status": 503,
    "detail": "the predictor is not ready",
    "instance": "/ready",
    "request_id": "0b9f6b8c4f2e4d0e9a5d1c7f3e2a1b00",
}


class ProblemDetails(BaseModel):
    """Why there is no answer (RFC 9457)."""

    model_config = ConfigDict(json_schema_extra={"examples": [_PROBLEM]})

    type: Annotated[str, Field(description="Kind of problem, a URI.")] = "about:blank"
    title: Annotated[str, Field(description="The same for all problems of a kind.")]
    status: Annotated[int, Field(ge=400, le=599, description="HTTP status.")]
    detail: Annotated[str, Field(description="What is wrong here, and what to do.")]
    instance: Annotated[str, Field(description="Path that was asked.")]
    request_id: Annotated[str, Field(description="As in the header `X-Request-ID`.")]
    reason: Annotated[
        str | None, Field(description="Why a file is refused, in one word: `truncated`, say.")
    ] = None
    errors: Annotated[list[FieldProblem] | None, Field(description="Fields that do not fit.")] = None
    violated_policies: Annotated[
        list[str] | None,
        Field(serialization_alias="violated-policies", description="Rate limits that are used up."),
    ] = None


class BatchItem(BaseModel):
    """One of a batch: its verdict, or why it has none."""

    verdict: Verdict | None = None
    problem: ProblemDetails | None = None


class Batch(BaseModel):
    """One result for each that was sent, in their order."""

    request_id: str
    results: list[BatchItem]


class Asked(BaseModel):
    """A run to start."""

    model_config = ConfigDict(extra="forbid")

    task: Annotated[TaskName, Field(description="Name of a task that the service has.")]
    settings: Annotated[
        dict[Annotated[str, Field(pattern=r"^model\.[a-z_]{1,40}$")], queue.Setting],
        Field(max_length=MOST_SETTINGS, description="Settings of the training, `model.…`."),
    ] = {}

    @field_validator("settings", mode="before")
    @classmethod
    def _few(cls, settings: Any) -> Any:
        """Before each is looked at, because a refusal tells of each."""
        if isinstance(settings, dict) and len(settings) > MOST_SETTINGS:
            raise ValueError(f"{len(settings)} settings are too many; give {MOST_SETTINGS} at most")
        return settings

    @field_validator("settings")
    @classmethod
    def _names_no_file(cls, settings: dict[str, queue.Setting]) -> dict[str, queue.Setting]:
        """What lies on the machine that trains is not for a request to name."""
        if settings.get("model.weights", "none") not in ("none", "imagenet"):
            raise ValueError("model.weights may be none or imagenet here; name a file in the task")
        return settings


class Opinion(BaseModel):
    """What a person says that was asked about."""

    model_config = ConfigDict(extra="forbid")

    prediction_id: Annotated[
        str, Field(pattern=r"^[!-~]{1,160}$", description="As the prediction's answer has it.")
    ]
    label: Annotated[str, Field(min_length=1, max_length=64, description="One of the model's labels.")]
    note: Annotated[
        str, Field(max_length=1000, pattern=r"^[^\x00]*$", description="Why, for whoever decides.")
    ] = ""


class Runs(BaseModel):
    """The newest runs, the newest first."""

    runs: list[Run]


LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=128)]
Labels = Annotated[dict[LabelName, Annotated[str, Field(max_length=1024)]], Field(max_length=64)]


class Alert(BaseModel):
    """One alert of a notification."""

    status: Literal["firing", "resolved"]
    labels: Annotated[
        Labels, Field(description="`bonafide_action`: `retrain`, and the `task`, start a run of training.")
    ]


class Notification(BaseModel):
    """What Alertmanager posts to a web hook. Members that are not named here are passed over."""

    version: Literal["4"]
    groupKey: Annotated[str, Field(max_length=4096)]  # noqa: N815  (Alertmanager's name)
    status: Literal["firing", "resolved"]
    receiver: Annotated[str, Field(max_length=256)]
    alerts: Annotated[list[Alert], Field(max_length=200)]


Outcome = Literal["started", "busy", "resting", "refused", "ignored"]


class Handled(BaseModel):
    """What became of an alert."""

    alert: Annotated[str, Field(description="Its name.")]
    outcome: Annotated[
        Outcome,
        Field(
            description="`started` a run; `busy`: a run of the task has not ended; `resting`: an alert "
            "started one not long ago; `refused`: see `why`; `ignored`: it asks for nothing, or has resolved."
        ),
    ]
    task: str | None = None
    run: Annotated[str | None, Field(description="The run that was started, or that is why none was.")] = None
    why: str | None = None


class Outcomes(BaseModel):
    """What became of each alert, in their order."""

    alerts: list[Handled]


class Status(BaseModel):
    """That the service is well."""

    status: str


def verdict(answer: Answer, index: int) -> Verdict:
    """One of those that ``answer`` is about."""
    name = answer.outputs["label"][index].decode()
    probabilities = dict(zip(answer.labels, map(float, answer.probabilities[index]), strict=True))
    return Verdict(
        model=answer.model,
        version=answer.version,
        label=name,
        uncertain=bool(answer.uncertain[index]),
        confidence=probabilities[name],
        probabilities=probabilities,
        prediction_id=answer.ids[index] if answer.ids else None,
    )
