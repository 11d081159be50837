"""The one family of errors that a user can cause and mend."""


class BonafideError(Exception):
    """Says what is wrong, where, and what to do. The CLI prints it and exits 2; servers answer 4xx."""


class ConfigError(BonafideError):
    """A task or an override does not fit the configuration schema."""


class DataError(BonafideError):
    """A source or a dataset cannot be used."""


class ImageError(BonafideError):
    """An image file is refused.

    Args:
        reason: a short, stable code, e.g. ``"truncated"``; it names the bucket in quarantine reports.
        message: the sentence for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class PackageError(BonafideError):
    """A model package is incomplete, changed or not signed by a trusted key."""


class DeliveryError(BonafideError):
    """The delivery folder or the registry cannot take a change."""
