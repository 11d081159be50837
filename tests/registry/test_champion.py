import json
import shutil

import pyarrow.parquet as pq
import pytest

from bonafide.errors import DeliveryError
from bonafide.registry import champion
from bonafide.registry.register import register
from bonafide.registry.versions import crown


def test_without_a_registry_nothing_is_noted(tmp_path):
    with pytest.raises(DeliveryError, match="no registry at"):
        champion.write("authenticity", tmp_path / "champion")
    assert not (tmp_path / "champion").exists()


def test_before_the_first_promotion_the_note_is_empty_and_always_the_same(registry, tmp_path):
    notes = []
    for name in ("first", "second"):
        assert champion.write("authenticity", tmp_path / name) == ""
        notes.append([path.read_bytes() for path in sorted((tmp_path / name).iterdir())])
    assert notes[0] == notes[1]
    assert json.loads((tmp_path / "first" / "champion.json").read_text()) == {
        "version": "",
        "package_digest": "",
    }
    table = pq.read_table(tmp_path / "first" / "placement.parquet")
    assert (table.column_names, table.num_rows) == (["group", "split"], 0)
    assert champion.read(tmp_path / "first") == champion.find("authenticity")["version"] == ""


def test_the_note_names_the_champion_and_where_its_groups_are(registry, made, tmp_path):
    dataset = shutil.copytree(made.dataset, tmp_path / "dataset")
    (dataset / "placement.parquet").write_bytes(b"groups")
    version = register(made.package, dataset, made.evaluation, made.gate, made.keys / "signing.pub")
    crown(version)
    assert champion.write("authenticity", tmp_path / "champion") == version.number
    assert json.loads((tmp_path / "champion" / "champion.json").read_text()) == {
        "version": version.number,
        "package_digest": version.tags["package_digest"],
    }
    assert (tmp_path / "champion" / "placement.parquet").read_bytes() == b"groups"
    assert champion.read(tmp_path / "champion") == champion.find("authenticity")["version"] == version.number
