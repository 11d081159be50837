"""Ask the registry which version is in service; an empty answer before the first promotion."""

from components import component


@component
def champion(task: str) -> str:
    from bonafide.registry.champion import find

    return find(task)
