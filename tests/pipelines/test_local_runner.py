"""What the local runner does around a run; tests/pipelines/test_local.py runs one."""

import time
from concurrent.futures import ThreadPoolExecutor

from bonafide import files
from pipelines.runners import local


def test_a_run_of_the_same_task_is_waited_for(own_home, capsys, monkeypatch):
    begun = []
    monkeypatch.setattr(local, "_run", lambda *_: begun.append(time.monotonic()))
    with ThreadPoolExecutor() as pool:
        with files.lock(own_home / "training-one.lock"):
            waits = pool.submit(local.run, None, {"name": "one"}, None)
            local.run(None, {"name": "two"}, None)
            local.run(None, {"images": "of a batch"}, None)
            while "another run of one works in" not in capsys.readouterr().err:
                time.sleep(0.01)
            assert len(begun) == 2
        waits.result()
    assert len(begun) == 3
