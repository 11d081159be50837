"""Read the sources into one dataset; unusable files or rows are quarantined with a reason."""

from kfp.dsl import Dataset, Output

from components import component


@component
def ingest(modality: str, sources: list, labels: list, features: list, seed: int, dataset: Output[Dataset]):
    from pathlib import Path

    from bonafide.features import parse_features
    from bonafide.modality import arm
    from bonafide.source import parse_sources

    read = arm(modality, "read")
    info = read(parse_sources(sources), tuple(labels), Path(dataset.path), seed, parse_features(features))
    dataset.metadata.update(digest=info.digest, counts=info.counts, quarantined=len(info.quarantined))
