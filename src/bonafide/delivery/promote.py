"""The promote step: a registered version goes into service."""

from pathlib import Path

from bonafide.delivery.repository import Promotion, promote
from bonafide.registry.versions import crown, get


def promote_version(task: str, number: str, folder: Path, environment: str) -> str:
    """Commit the version to the delivery folder, then make it the champion.

    In this order a kill in between is mended by running again: the commit is found, the alias is moved.

    Returns:
        the commit.
    """
    version = get(task, number)
    promotion = Promotion(
        task=task,
        version=number,
        package_uri=version.uri,
        run=version.run,
        model_digest=version.tags["model_digest"],
        data_digest=version.tags["data_digest"],
        gate=version.tags["gate"],
    )
    commit = promote(folder, environment, promotion)
    crown(version)
    return commit
