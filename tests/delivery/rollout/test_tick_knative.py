"""Rollouts of a service in Knative mode, from the promotion to the end, as commits."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bonafide.delivery.checkout import checkout
from bonafide.delivery.modes import parse_service
from bonafide.delivery.repository import folder_of
from bonafide.delivery.rollout import tick as looking
from bonafide.delivery.rollout.decide import Evidence, Finding
from bonafide.delivery.rollout.hand import roll_back
from bonafide.delivery.rollout.state import read_rollout
from bonafide.delivery.rollout.tick import Judge, tick
from bonafide.delivery.status import statuses
from bonafide.errors import DeliveryError
from tests.delivery.manifest import to_yaml, turned
from tests.delivery.rollout.traffic import Traffic
from tests.delivery.test_repository import FIRST, git, promote
from tests.delivery.test_repository import SECOND as LIKE_FIRST

TASK, PLACE = "authenticity", folder_of("dev", "authenticity")
SURE = math.log(1000)
GOOD, BAD = ([Finding("errors", *logs, 0.3, 5000)] for logs in ((0.0, SURE), (SURE, 0.0)))
SECOND = replace(LIKE_FIRST, package_digest="6" * 64)
THIRD = replace(SECOND, version="3", package_uri="file:///models/3/package", package_digest="5" * 64)
STEPS = "steps: [{}50, 100]\nbake_minutes: 1\nwarm_up_minutes: 0\n"


@pytest.fixture
def folder(tmp_path, own_home):
    """Version 1 serves in Knative mode."""
    made = tmp_path / "delivery"
    promote(made, "dev", FIRST)
    by_hand(made, {"inferenceservice.yaml": to_yaml(turned(made / PLACE / "inferenceservice.yaml"))})
    by_hand(made, {"rollout.yaml": STEPS.format("0, ")})
    return made


@pytest.fixture
def measured(monkeypatch):
    found = {"findings": GOOD}
    ready = datetime(2026, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(looking, "_measure", lambda *_: (Evidence(found["findings"], ready), {"pods": 3}))
    return found


def by_hand(folder, files):
    with checkout(str(folder)) as delivery:
        delivery.change({PLACE / name: text for name, text in files.items()}, "By hand")


def look(folder, minutes=5.0):
    return tick(str(folder), "dev", TASK, Judge(Traffic()), datetime.now(UTC) + timedelta(minutes=minutes))


def serving(folder):
    return parse_service((folder / PLACE / "inferenceservice.yaml").read_text(), "it")


def test_a_good_canary_climbs_and_is_the_stable_version(folder, measured):
    promote(folder, "dev", SECOND)
    with checkout(str(folder)) as delivery:
        rollout, _ = read_rollout(delivery, "dev", TASK)
    assert (rollout.stable, rollout.canary, rollout.weight, rollout.replicas) == ("1", "2", 0, 1)
    weights = []
    while (decision := look(folder)) is not None:
        weights.append((str(decision.verdict), decision.weight))
    assert weights == [("advance", 50), ("advance", 100), ("finish", 100)]
    now = serving(folder)
    assert (now.stable.version, now.canary) == ("2", None)
    assert "canaryTrafficPercent" not in now.text


@pytest.mark.parametrize("looks", [0, 1, 2])
def test_a_bad_canary_is_rolled_back_at_any_step_and_the_next_one_is_tried(folder, measured, looks):
    promote(folder, "dev", SECOND)
    for _ in range(looks):
        look(folder)
    assert statuses(str(folder))[0].weight == (0, 50, 100)[looks]
    measured["findings"] = BAD
    look(folder, minutes=0)
    assert (serving(folder).stable.version, serving(folder).canary) == ("1", None)
    assert git(folder, "log", "-1", "--format=%(trailers:key=Rolled-Back,valueonly)") == SECOND.package_digest
    assert look(folder) is None
    (dev,) = statuses(str(folder))
    assert (dev.stable, dev.canary, dev.weight) == ("1", "", 0)
    promote(folder, "dev", THIRD)
    now = serving(folder)
    assert (now.stable.version, now.canary.version, now.weight) == ("1", "3", 0)


def test_people_roll_back_a_canary_and_a_finished_version(folder, measured):
    promote(folder, "dev", SECOND)
    look(folder)
    assert roll_back(str(folder), "dev", TASK) == "1"
    assert serving(folder).canary is None
    promote(folder, "dev", SECOND)
    while look(folder) is not None:
        pass
    assert roll_back(str(folder), "dev", TASK) == "1"
    assert (serving(folder).stable.version, serving(folder).canary) == ("1", None)


def test_what_could_send_all_traffic_to_a_bad_version_is_refused_and_commits_nothing(folder, measured):
    promote(folder, "dev", SECOND)
    while look(folder) is not None:
        pass
    promote(folder, "dev", THIRD)
    roll_back(str(folder), "dev", TASK)
    head = git(folder, "rev-parse", "HEAD")
    with pytest.raises(DeliveryError, match="remove canaryTrafficPercent once the revision of version 2"):
        roll_back(str(folder), "dev", TASK)
    assert git(folder, "rev-parse", "HEAD") == head
    text = serving(folder).text
    by_hand(folder, {"inferenceservice.yaml": text.replace("    canaryTrafficPercent: 0\n", "")})
    assert roll_back(str(folder), "dev", TASK) == "1"


def test_a_first_step_with_traffic_is_refused_and_commits_nothing(folder):
    by_hand(folder, {"rollout.yaml": STEPS.format("10, ")})
    head = git(folder, "rev-parse", "HEAD")
    with pytest.raises(DeliveryError, match=r"steps of rollout.yaml begin with 0"):
        promote(folder, "dev", SECOND)
    assert git(folder, "rev-parse", "HEAD") == head
