"""Read a source into one dataset; unusable files are quarantined with a reason."""

from kfp.dsl import Dataset, Output

from components import component


@component
def ingest(modality: str, source: dict, labels: list, seed: int, dataset: Output[Dataset]):
    from pathlib import Path

    from bonafide.model.modality import reader
    from bonafide.task import parse_source

    info = reader(modality)(parse_source(source), tuple(labels), Path(dataset.path), seed)
    dataset.metadata.update(digest=info.digest, counts=info.counts, quarantined=len(info.quarantined))
