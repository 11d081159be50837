from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from PIL import Image

from bonafide.batch import run, table
from bonafide.serving.compute.engine import Engine
from tests import packages

ODD_NAMES = ('comma,quote".png', "new\nline.png", "ünï.png", "=1+1.png", b"\xff.png")


def picture(number: int) -> bytes:
    """A PNG of the model's size, so that what is answered for it can be computed by hand."""
    stream = BytesIO()
    Image.fromarray(pixels(number)).save(stream, "PNG")
    return stream.getvalue()


def pixels(number: int) -> np.ndarray:
    seeded = np.random.default_rng(number)
    return np.full((packages.SIZE, packages.SIZE, 3), seeded.integers(0, 256, 3), dtype=np.uint8)


def fill(folder: Path, count: int) -> Path:
    for number in range(count):
        path = folder / f"{number % 3}" / f"{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    return folder


def rows(path: Path) -> list[dict]:
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path).to_pylist()
    kinds = {f"probability_{label}": "float" for label in packages.LABELS} | {"confidence": "float"}
    options = pyarrow.csv.ConvertOptions(
        column_types=kinds, strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    parsing = pyarrow.csv.ParseOptions(newlines_in_values=True)
    return pyarrow.csv.read_csv(path, convert_options=options, parse_options=parsing).to_pylist()


@pytest.fixture(scope="session")
def engine(signed):
    return Engine(signed.path, signed.public_key, threads=1)


@pytest.fixture
def images(tmp_path):
    return fill(tmp_path / "images", 50)


@pytest.fixture
def score(engine, tmp_path, monkeypatch):
    """Score into ``scores.csv``, or what is named, in parts of 16."""
    monkeypatch.setattr(run, "PART", 16)

    def call(where, name="scores.csv", version="7", **options) -> run.Summary:
        output = tmp_path / name
        kind: table.Format = "parquet" if output.suffix == ".parquet" else "csv"
        workspace = tmp_path / f".{name}.partial"
        return run.score(str(where), output, engine, version, kind=kind, workspace=workspace, **options)

    return call
