"""The how-to about kinds of sources, followed as far as nothing is trained."""

import csv

import yaml

from bonafide.config import parse
from bonafide.sources.folder import read_folder
from bonafide.sources.ingest import ingest
from bonafide.sources.tree import find_tree
from bonafide.task import Task
from tests.data.pictures import encode, picture
from tests.docs.pages import blocks, program

[TASK] = [content for language, _, content in blocks("kinds-of-sources") if language == "yaml"]


def test_the_task_s_labels_are_sources_and_answers_become_sources(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = parse(Task, yaml.safe_load(TASK), "the page")
    for number in range(4):
        place = tmp_path / "pictures" / ("real", "fake")[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(encode(picture(number), "PNG"))
    with open("kinds.csv", "w", newline="") as answers:
        writer = csv.writer(answers)
        writer.writerow(["path", "label", "error"])
        for number in range(4):
            name = f"{('real', 'fake')[number % 2]}/{number}.png"
            writer.writerow([name, ("faces", "scenes")[number // 2], "" if number else "unreadable: gone"])
    program("kinds-of-sources", "manifest.py")
    found = {image.path: image.source for image in read_folder(find_tree("pictures"))}
    assert found == {
        "real/0.png": "pictures",
        "fake/1.png": "faces",
        "real/2.png": "scenes",
        "fake/3.png": "scenes",
    }
    (tmp_path / "pictures" / "real" / "0.png").unlink()
    (tmp_path / "pictures").rename("known-kinds")
    info = ingest(task.sources, task.labels, tmp_path / "out", task.seed)
    assert info.counts == {"all": {"faces": 1, "scenes": 2}}
