"""What the tests of every engine share."""

import pytest

from bonafide.task import load_task
from pipelines.runners.engine import follow
from pipelines.training import arguments


@pytest.fixture(scope="module")
def given():
    return arguments(load_task("authenticity"), "dev")


def followed(engine, server, run, *steps):
    """What following a run tells until it has succeeded; before each look one of ``steps`` changes."""
    told, look, story = [], engine.look, iter(steps)

    def look_after_the_next_change(name):
        if step := next(story, None):
            server.step(run.id, *step)
        else:
            server.end(run.id, "SUCCEEDED")
        return look(name)

    engine.look = look_after_the_next_change
    ended = follow(engine, run.id, lambda step: told.append((step.name, step.state, bool(step.cache_key))))
    assert ended.state == "SUCCEEDED"
    return told
