import json

import numpy as np
import pytest

from benchmarks.rows import subject
from bonafide.model.package import verify
from bonafide.model.runtime import OnnxModel


def test_the_right_answers_are_those_of_the_signed_graph(tmp_path):
    made = subject.make(tmp_path / "subject")
    info = verify(made.package, made.public_key)
    rows = [json.loads((made.folder / f"{number}.json").read_text()) for number in range(150)]
    columns = np.array([[row[name] for name in info.columns] for row in rows], np.float32)
    expected = np.load(made.expected)
    assert OnnxModel(made.package, info).run(columns)["probabilities"] == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(expected, np.load(made.expected_plain))
    assert len({*expected.argmax(axis=1).tolist()}) == 3
