"""Why a request has no answer: what was sent is at fault, or the server is."""

from bonafide.errors import BonafideError

STATUS = {
    "too-many-bytes": 413,
    "too-many-pixels": 413,
    "too-complex": 413,
    "not-an-image": 415,
    "format": 415,
    "animated": 415,
}
"""Of HTTP, by the reason that an image is refused for; 400 for others."""


class RequestError(BonafideError):
    """A client sent what cannot be answered.

    ``status`` is of HTTP (in gRPC it is INVALID_ARGUMENT), ``reason`` is what errors are counted by.
    """

    def __init__(self, message: str, status: int = 400, reason: str = "request") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Overloaded(BonafideError):  # noqa: N818  (it says what the server is, not what went wrong)
    """There is no answer for now; ``retry_after`` in whole seconds, ``reason`` as in RequestError."""

    def __init__(self, message: str, retry_after: int, reason: str) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.reason = reason
