"""Which of KServe's modes an InferenceService is for."""

from bonafide.delivery.service import Service, round_trip
from bonafide.delivery.standard import Standard
from bonafide.errors import DeliveryError


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
        return Standard(round_trip().load(text), where)
    except (YAMLError, KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise DeliveryError(f"{where} is no InferenceService that Bonafide wrote: {error!r}") from error
