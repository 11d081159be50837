"""Fetch the package of a registered version; of the one in service if none is named. Never cached.

The place of the table is looked at here, before anything is scored: ``score`` may be repeated after it wrote.
"""

from kfp.dsl import Model, Output

from components import component


@component
def fetch(task: str, version: str, output: str, overwrite: bool, package: Output[Model]):
    import shutil
    from pathlib import Path

    from bonafide.batch import bucket
    from bonafide.registry import packages, versions

    if output:
        bucket.refuse_taken(output, overwrite)
    found = versions.chosen(task, version)
    shutil.copytree(packages.fetch(found), Path(package.path))
    package.metadata.update(task=task, version=found.number, digest=found.tags["model_digest"])
