"""What runs share: the places that an engine's file names, beside those of this machine."""

import os
from collections.abc import Iterator
from typing import Any

from bonafide.doctor import Finding
from bonafide.home import DELIVERY, PACKAGES, PUBLIC_KEY, REGISTRY, SIGNING_KEY, STORE, without_secrets
from pipelines.engines import NEEDS, Key, Kubeflow, Vertex, step_of

PLACES = (REGISTRY, PACKAGES, DELIVERY, SIGNING_KEY, PUBLIC_KEY, STORE)


def compare(settings: Kubeflow | Vertex) -> Iterator[Finding]:
    """For each place of the steps, whether this machine has the same.

    None is asked: addresses within a cluster are for the steps, whose first one asks them all.
    """
    for place in PLACES:
        here = without_secrets(os.environ.get(place, "")) or "not set"
        steps = [step_of(settings, step) for step in NEEDS]
        for there in dict.fromkeys(step.environment[place] for step in steps if place in step.environment):
            shown = without_secrets(there)
            found = "the same on this machine" if shown == here else f"on this machine {here}"
            yield Finding(place, shown, f"in the steps; {found}")
        for source in dict.fromkeys(name for step in steps for name in _sources(step, place)):
            yield Finding(place, source, f"in the steps, its value is not known here; on this machine {here}")


def _sources(step: Any, place: str) -> Iterator[str]:
    for kind in ("secrets", "config"):
        if found := getattr(step, kind, {}).get(place):
            yield f"{kind}: {found.name if isinstance(found, Key) else found}"
