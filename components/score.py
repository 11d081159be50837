"""Score a folder, a glob or a bucket of images into one table. Never cached: images change."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output

from components import component


@component
def score(
    package: Input[Model],
    images: str,
    format: str,
    output: str,
    scores: Output[Dataset],
    metrics: Output[Metrics],
):
    from pathlib import Path

    from bonafide.batch import run
    from bonafide.files import write_json
    from bonafide.home import trusted_keys
    from bonafide.serving.compute.engine import Engine

    engine = Engine(Path(package.path), trusted_keys(), threads=1)
    version = package.metadata["version"]
    counts = run.score(
        images, Path(scores.path), engine, version, kind=format, copy_to=output, overwrite=True
    ).counts()
    scores.metadata.update(counts, format=format, version=version, digest=engine.info.model_digest)
    for name, value in counts.items():
        metrics.log_metric(name, value)
    write_json(Path(metrics.path), counts)
