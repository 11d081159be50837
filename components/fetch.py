"""Fetch the package of a registered version; of the one in service if none is named. Never cached."""

from kfp.dsl import Model, Output

from components import component


@component
def fetch(task: str, version: str, package: Output[Model]):
    import shutil
    from pathlib import Path

    from bonafide.registry import packages, versions

    found = versions.chosen(task, version)
    shutil.copytree(packages.fetch(found), Path(package.path))
    package.metadata.update(task=task, version=found.number, digest=found.tags["model_digest"])
