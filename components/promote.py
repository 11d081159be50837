"""Commit the version to the delivery repository and make it the champion; returns the commit."""

from components import component


@component
def promote(task: str, version: str, environment: str) -> str:
    from bonafide.delivery import promote
    from bonafide.home import delivery

    return promote.promote_version(task, version, delivery(), environment)
