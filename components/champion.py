"""Ask the registry which version is in service: its number and digest, empty before the first promotion."""

from components import component


@component
def champion(task: str) -> dict:
    from bonafide.registry.champion import find

    return find(task)
