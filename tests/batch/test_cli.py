"""``bonafide batch`` as a person uses it, killed for real as well."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.batch.conftest import fill, rows

MANY = 10_000


PROGRAM = """
import sys
from bonafide.cli.main import main
from bonafide.batch import run

run.PART = int(sys.argv.pop(1))
main()
"""


def command(*arguments, part: int = 1_000) -> list[str]:
    return [sys.executable, "-c", PROGRAM, str(part), "batch", *map(str, arguments)]


def batch(signed, *arguments, code=0, **options) -> str:
    key = ["--package", signed.path, "--public-key", signed.public_key]
    done = subprocess.run(
        command(*arguments, *key, **options),
        env={**os.environ, "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stdout + done.stderr


def killed(signed, images: Path, output: Path, parts: int, part: int) -> None:
    """Start it and send SIGKILL as soon as so many parts are there."""
    key = ["--package", signed.path, "--public-key", signed.public_key]
    process = subprocess.Popen(command(images, output, *key, part=part), stderr=subprocess.DEVNULL)
    last = output.with_name(f".{output.name}.partial") / f"{parts - 1:06}.parquet"
    try:
        while not last.exists() and process.poll() is None:
            time.sleep(0.001)
    finally:
        process.kill()
    assert process.wait(30) == -signal.SIGKILL
    assert not output.exists()


def test_a_folder_becomes_a_table_with_a_summary(signed, images, tmp_path):
    (images / "bad.jpg").write_bytes(b"no image")
    (images / "notes.txt").write_text("")
    told = batch(signed, images, tmp_path / "scores.csv")
    table = {
        cells[1].strip(): cells[2].strip() for line in told.splitlines() if len(cells := line.split("│")) > 2
    }
    assert table["scored"] == "50"
    assert table["failed: not-an-image"] == "1"
    assert table["other files, passed over"] == "1"
    assert len(rows(tmp_path / "scores.csv")) == 51


def test_sigkill_and_the_same_command_again(signed, tmp_path):
    images = fill(tmp_path / "images", 800)
    batch(signed, images, tmp_path / "whole.csv", part=40)
    killed(signed, images, tmp_path / "scores.csv", parts=5, part=40)
    told = batch(signed, images, tmp_path / "scores.csv", part=40)
    assert "of these by an earlier run" in told
    assert (tmp_path / "scores.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not list(tmp_path.glob(".scores*"))


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("scores.txt", "OUTPUT ends with .csv or .parquet"),
        ("gs://bucket/scores.csv", "OUTPUT is written on this machine"),
    ],
)
def test_an_output_of_another_kind_is_refused(signed, images, output, told):
    assert told in batch(signed, images, output, code=2)


def test_when_none_could_be_scored_the_table_says_why_and_the_code_is_2(signed, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "bad.png").write_bytes(b"no image")
    batch(signed, tmp_path / "images", tmp_path / "new" / "scores.csv", code=2)
    assert rows(tmp_path / "new" / "scores.csv")[0]["error"].startswith("not-an-image: ")


def test_before_anything_is_in_service_a_package_must_be_given(images, tmp_path):
    done = subprocess.run(command(images, tmp_path / "s.csv"), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "nothing is in service for authenticity" in done.stderr


def test_it_needs_no_training_stack_and_no_server(signed, images, tmp_path):
    code = (
        "import sys; from bonafide.cli.main import app\n"
        "try: app()\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'torch', 'mlflow', 'kfp', 'sklearn', 'kserve', 'fastapi', 'grpc', 'fsspec'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    key = ["--package", signed.path, "--public-key", signed.public_key]
    arguments = ["batch", images, tmp_path / "scores.csv", *key]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.e2e
def test_ten_thousand_images_killed_half_way(signed, tmp_path):
    images = photographs(tmp_path / "images")
    batch(signed, images, tmp_path / "whole.csv")
    killed(signed, images, tmp_path / "scores.csv", parts=5, part=1_000)
    told = batch(signed, images, tmp_path / "scores.csv")
    assert "of these by an earlier run" in told
    whole, resumed = (
        hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("whole.csv", "scores.csv")
    )
    assert resumed == whole
    found = rows(tmp_path / "scores.csv")
    assert len(found) == MANY
    assert {row["error"].partition(":")[0] for row in found if row["error"]} == {"truncated", "not-an-image"}


def photographs(folder: Path) -> Path:
    """64 to 256 px, JPEG, PNG and WebP, some of them cut off or no image at all."""
    seeded = np.random.default_rng(0)
    kinds = ("JPEG", "PNG", "WEBP")
    contents = []
    for number in range(MANY // 20):
        pixels = seeded.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        size = tuple(map(int, seeded.integers(64, 257, 2)))
        stream = BytesIO()
        Image.fromarray(pixels).resize(size).save(stream, kinds[number % 3])
        contents.append(stream.getvalue())
    for number in range(MANY):
        path = folder / f"{number % 37:02}" / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = contents[number % len(contents)]
        path.write_bytes(
            b"no image"
            if number % 211 == 0
            else content[: len(content) // 2]
            if number % 101 == 0
            else content
        )
    return folder
