"""What the local runner takes for the same, and what not."""

import shutil

from kfp.dsl import Dataset, Metrics
from kfp.local.cache import LocalCache

from bonafide import version
from pipelines.runners import local


def key(artifact) -> str:
    return LocalCache.compute_key(LocalCache, "train", "image", ["python"], {"dataset": artifact})


def test_an_edited_template_misses_the_cache(own_home, tmp_path, monkeypatch):
    def cache() -> str:
        version.code_digest.cache_clear()
        return str(local._cache())

    package = shutil.copytree(version.PACKAGE, tmp_path / "bonafide")
    (template,) = package.glob("templates/gate.html")
    monkeypatch.setattr(version, "PACKAGE", package)
    before = cache()
    assert cache() == before
    template.write_text(template.read_text() + "<!-- edited -->")
    assert cache() != before
    version.code_digest.cache_clear()


def test_an_artifact_that_tells_its_content_is_known_by_it_wherever_it_lies():
    local._know_by_content()
    first = Dataset("splits", "/runs/1/splits", {"content": "abc"})
    assert key(first) == key(Dataset("splits", "/runs/2/splits", {"content": "abc"}))
    assert key(first) != key(Dataset("splits", "/runs/1/splits", {"content": "def"}))
    assert key(first) != key(Metrics("splits", "/runs/1/splits", {"content": "abc"}))
    assert key(Dataset("splits", "/runs/1/splits")) != key(Dataset("splits", "/runs/2/splits"))
