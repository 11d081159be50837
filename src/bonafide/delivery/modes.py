"""Which of KServe's modes an InferenceService is for."""

from typing import Any

from bonafide.delivery.knative import Knative
from bonafide.delivery.service import Service, round_trip
from bonafide.delivery.standard import Standard
from bonafide.errors import DeliveryError

ANNOTATION = "serving.kserve.io/deploymentMode"
KNATIVE = ("Knative", "Serverless")  # the second is its older name


def is_knative(content: Any) -> bool:
    """Whether an InferenceService asks for Knative mode; without a word it is for Standard mode."""
    return (content.get("metadata") or {}).get("annotations", {}).get(ANNOTATION) in KNATIVE


def parse_service(text: str, where: str) -> Service:
    """Read an InferenceService.

    Args:
        text: the file.
        where: its name, for messages.

    Raises:
        DeliveryError: it is no InferenceService that Bonafide wrote, or a weight is out of range.
    """
    from ruamel.yaml.error import YAMLError

    try:
        content = round_trip().load(text)
        return Knative(content, where) if is_knative(content) else Standard(content, where)
    except (YAMLError, KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise DeliveryError(f"{where} is no InferenceService that Bonafide wrote: {error!r}") from error
