"""What the store refuses; quick to import."""

from bonafide.errors import BonafideError


class StoreError(BonafideError):
    """The store does not answer, or not as it should; the same may be tried again."""


class ContentError(StoreError):
    """The store answers, and refuses what it was given."""


class OutdatedError(StoreError):
    """The store's tables are not those of this version."""


class UnknownError(BonafideError):
    """There is no such prediction, or no such feedback."""


class ContradictionError(BonafideError):
    """Something else was decided already, or the model has no such label."""
