"""Read the sources into one dataset; unusable files are quarantined with a reason."""

from kfp.dsl import Dataset, Output

from components import component


@component
def ingest(modality: str, sources: list, labels: list, seed: int, dataset: Output[Dataset]):
    from pathlib import Path

    from bonafide.model.modality import reader
    from bonafide.source import parse_sources

    info = reader(modality)(parse_sources(sources), tuple(labels), Path(dataset.path), seed)
    dataset.metadata.update(digest=info.digest, counts=info.counts, quarantined=len(info.quarantined))
