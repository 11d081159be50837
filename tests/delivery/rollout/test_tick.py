import json
import math
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bonafide.delivery import checkout as checkouts
from bonafide.delivery.checkout import checkout
from bonafide.delivery.modes import parse_service
from bonafide.delivery.repository import folder_of, promote
from bonafide.delivery.rollout import tick as looking
from bonafide.delivery.rollout.decide import Evidence, Finding, Verdict
from bonafide.delivery.rollout.hand import pause, roll_back
from bonafide.delivery.rollout.state import read_rollout
from bonafide.delivery.rollout.tick import Judge, tick
from bonafide.delivery.service import Service
from bonafide.delivery.status import statuses
from bonafide.errors import DeliveryError
from tests.delivery.rollout.traffic import MIDNIGHT, Traffic
from tests.delivery.test_repository import FIRST, SECOND, git
from tests.delivery.test_repository import promote as commit_promotion

TASK = "authenticity"
PLACE = folder_of("dev", TASK)
SURE = math.log(1000)
GOOD = [Finding("errors", 0.0, SURE, 0.3, 5000)]
BAD = [Finding("errors", SURE, 0.0, 0.3, 5000)]
ROLLOUT = "# asked for by T. Safety\nsteps: [0, 50, 100]\nbake_minutes: 1\nwarm_up_minutes: 0\n"


@pytest.fixture
def folder(tmp_path, own_home):
    """Version 1 serves, and version 2 is on trial."""
    made = tmp_path / "delivery"
    commit_promotion(made, "dev", FIRST)
    (made / PLACE / "rollout.yaml").write_text(ROLLOUT)
    service = made / PLACE / "inferenceservice.yaml"
    service.write_text(service.read_text().replace("maxReplicas: 3", "maxReplicas: 3 # the budget"))
    commit_by_hand(made, "Rollouts in dev")
    commit_promotion(made, "dev", SECOND)
    return made


@pytest.fixture
def measured(monkeypatch):
    """What the judge finds, ready since ever; a test changes it."""
    found = {"findings": GOOD, "ready": datetime(2026, 1, 1, tzinfo=UTC), "pods": 3}

    def measure(task, judge, rollout, now):
        return Evidence(found["findings"], found["ready"]), {"pods": found["pods"]}

    monkeypatch.setattr(looking, "_measure", measure)
    return found


def look(folder, minutes=5.0):
    now = datetime.now(UTC) + timedelta(minutes=minutes)
    return tick(str(folder), "dev", TASK, Judge(Traffic()), now)


def commit_by_hand(folder, subject):
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=A", "-c", "user.email=a@localhost", "commit", f"--message={subject}")


def serving(folder) -> Service:
    return parse_service((folder / PLACE / "inferenceservice.yaml").read_text(), "it")


def test_a_good_canary_climbs_to_all_traffic_and_is_the_stable_version(folder, measured):
    weights = []
    while (decision := look(folder)) is not None:
        weights.append((str(decision.verdict), decision.weight))
    assert weights == [("advance", 50), ("advance", 100), ("finish", 100)]
    now = serving(folder)
    assert (now.stable.version, now.canary, now.weight) == ("2", None, 0)
    assert git(folder, "log", "--format=%s").splitlines()[:4] == [
        "Finish the rollout of authenticity version 2 in dev",
        "Advance authenticity version 2 in dev to 100 %",
        "Advance authenticity version 2 in dev to 50 %",
        "Open the rollout of authenticity version 2 in dev",
    ]
    assert "maxReplicas: 3 # the budget" in now.text
    assert 'predictor="v2"' in now.text and 'predictor="v1"' not in now.text


def test_each_change_has_its_evidence_beside_it(folder, measured):
    look(folder)
    told = git(folder, "log", "-1", "--format=%(trailers:key=Evidence,valueonly)")
    record = json.loads((folder / PLACE / told).read_text())
    assert (record["verdict"], record["weight"]) == ("advance", {"before": 0, "after": 50})
    assert record["checks"] == [{"name": "errors", "harm": 0.0, "safe": SURE, "weight": 0.3, "trials": 5000}]
    assert record["harm"]["rolls_back_at"] == pytest.approx(math.log(100))
    assert git(folder, "status", "--porcelain") == ""


def test_a_bad_canary_is_rolled_back_and_its_bytes_are_remembered(folder, measured):
    before = serving(folder)
    look(folder)
    measured["findings"] = BAD
    decision = look(folder, minutes=0)
    assert decision.verdict is Verdict.ROLL_BACK
    now = serving(folder)
    assert (now.stable.version, now.canary) == ("1", None)
    assert git(folder, "log", "-1", "--format=%(trailers:key=Rolled-Back,valueonly)") == SECOND.package_digest
    before.drop()
    assert now.text == before.text
    assert look(folder) is None


def test_replicas_carry_the_share_and_go_back_afterwards(folder, measured):
    look(folder)
    content = serving(folder)._spec
    assert content["predictor"]["minReplicas"] == 3
    canary = content["canary"][0]["predictor"]
    assert canary["minReplicas"] == 2
    assert not {"maxReplicas", "autoScaling"} & set(canary)
    assert canary["annotations"]["serving.kserve.io/autoscalerClass"] == "none"
    while look(folder) is not None:
        pass
    assert serving(folder)._spec["predictor"]["minReplicas"] == 1


def test_a_look_that_holds_commits_nothing(folder, measured):
    measured["ready"] = None
    head = git(folder, "rev-parse", "HEAD")
    assert look(folder).verdict is Verdict.HOLD
    assert look(folder).verdict is Verdict.HOLD
    assert git(folder, "rev-parse", "HEAD") == head


@pytest.mark.parametrize("killed_at", [1, 2])
def test_a_look_that_was_killed_is_made_good_by_the_next(folder, measured, monkeypatch, killed_at):
    real, calls = checkouts.write_text, []

    def write(*arguments):
        calls.append(arguments)
        if len(calls) == killed_at + 1:
            raise KeyboardInterrupt
        return real(*arguments)

    if killed_at == 2:
        monkeypatch.setattr(checkouts.Checkout, "commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    else:
        monkeypatch.setattr(checkouts, "write_text", write)
    head = git(folder, "rev-parse", "HEAD")
    with pytest.raises(KeyboardInterrupt):
        look(folder)
    monkeypatch.undo()
    monkeypatch.setattr(looking, "_measure", lambda *_: (Evidence(BAD, None), {"pods": 1}))
    assert git(folder, "rev-parse", "HEAD") == head
    look(folder)
    assert git(folder, "status", "--porcelain") == ""
    assert serving(folder).canary is None


def check_that_an_edit_stays(folder):
    service = folder / PLACE / "inferenceservice.yaml"
    service.write_text(service.read_text() + "# mine\n")
    with pytest.raises(DeliveryError, match="uncommitted changes"):
        look(folder)
    assert service.read_text().endswith("# mine\n")


def test_what_a_person_left_uncommitted_stops_the_look_and_stays(folder, measured):
    check_that_an_edit_stays(folder)


def test_a_person_who_lowers_the_weight_starts_the_step_anew(folder, measured):
    look(folder)
    service = folder / PLACE / "inferenceservice.yaml"
    service.write_text(service.read_text().replace("trafficPercent: 50", "trafficPercent: 20"))
    commit_by_hand(folder, "slower")
    assert look(folder, minutes=0).why == "the step has not baked"
    assert look(folder).weight == 50


def test_without_its_settings_a_trial_stays_where_it_is(folder, measured):
    git(folder, "rm", "--quiet", str(PLACE / "rollout.yaml"))
    commit_by_hand(folder, "gone")
    with pytest.raises(DeliveryError, match=r"rollout.yaml is missing.*bonafide rollback"):
        look(folder)
    assert roll_back(str(folder), "dev", TASK) == "1"


def test_people_pause_resume_and_roll_back(folder, measured):
    pause(str(folder), "dev", TASK, True)
    assert "# asked for by T. Safety" in (folder / PLACE / "rollout.yaml").read_text()
    assert look(folder).why == "a person paused the rollout"
    assert statuses(str(folder))[0].paused
    pause(str(folder), "dev", TASK, True)
    pause(str(folder), "dev", TASK, False)
    assert look(folder).weight == 50
    assert roll_back(str(folder), "dev", TASK, why="moderators complain") == "1"
    assert serving(folder).canary is None
    verdict = git(folder, "log", "-1", "--format=%(trailers:key=Verdict,valueonly)")
    assert verdict == "roll back: moderators complain"


def test_a_finished_version_can_be_taken_back_by_hand(folder, measured):
    while look(folder) is not None:
        pass
    assert roll_back(str(folder), "dev", TASK) == "1"
    assert roll_back(str(folder), "dev", TASK, to="2") == "2"
    with pytest.raises(DeliveryError, match=r"version 7 never had all traffic of .*versions that did: 2, 1"):
        roll_back(str(folder), "dev", TASK, to="7")


def test_the_state_of_all_environments_is_told(folder, measured):
    look(folder)
    (dev,) = statuses(str(folder))
    assert (dev.task, dev.environment, dev.stable, dev.canary, dev.weight) == (TASK, "dev", "1", "2", 50)
    assert dev.verdict == "advance: every check keeps its margin at 0 %"


def test_a_second_canary_waits(folder):
    with checkout(str(folder)) as delivery, pytest.raises(DeliveryError, match=r"version 2 .* is on trial"):
        promote(delivery, "dev", replace(SECOND, version="3", package_uri="file:///models/3/package"))


def test_a_canary_that_is_ended_by_hand_is_remembered(folder, measured):
    assert roll_back(str(folder), "dev", TASK, to="1") == "1"
    assert git(folder, "log", "-1", "--format=%(trailers:key=Rolled-Back,valueonly)") == SECOND.package_digest


def test_rolling_back_again_goes_further_back_and_not_to_what_was_bad(folder, measured):
    while look(folder) is not None:
        pass
    third = replace(SECOND, version="3", package_uri="file:///models/3/package", package_digest="5" * 64)
    git(folder, "rm", "--quiet", str(PLACE / "rollout.yaml"))
    commit_by_hand(folder, "at once")
    commit_promotion(folder, "dev", third)
    assert [roll_back(str(folder), "dev", TASK) for _ in range(2)] == ["2", "1"]
    with pytest.raises(DeliveryError, match="another version never had all traffic"):
        roll_back(str(folder), "dev", TASK)


def test_a_name_that_is_no_environment_is_refused(folder):
    with pytest.raises(DeliveryError, match=r"no environment 'prdo': give dev, staging, prod"):
        commit_promotion(folder, "prdo", FIRST)
    with pytest.raises(DeliveryError, match="no environment 'prdo'"):
        tick(str(folder), "prdo", TASK, Judge(Traffic()), datetime.now(UTC))


def test_a_person_and_a_look_that_roll_back_at_once_do_it_once(folder, measured, monkeypatch):
    """The person's push comes second: what was meant is gone already, and the stable version stays."""
    real, lost = checkouts.Checkout.publish, []

    def publish(delivery):
        if not lost:
            lost.append(True)
            git(folder, "reset", "--quiet", "--hard", "HEAD~1")
            measured["findings"] = BAD
            with monkeypatch.context() as patch:
                patch.setattr(looking, "lock", lambda _: nullcontext())
                look(folder)
            return False
        return real(delivery)

    monkeypatch.setattr(checkouts.Checkout, "publish", publish)
    assert roll_back(str(folder), "dev", TASK) == "1"
    assert git(folder, "log", "--format=%s").splitlines()[:2] == [
        "Roll back authenticity version 2 in dev",
        "Open the rollout of authenticity version 2 in dev",
    ]


def test_a_deadline_passes_though_nothing_can_be_measured(folder, monkeypatch):
    def away(*_):
        raise DeliveryError("Prometheus is away")

    monkeypatch.setattr(looking, "_measure", away)
    with pytest.raises(DeliveryError, match="Prometheus is away"):
        look(folder)
    assert look(folder, minutes=60 * 25).verdict is Verdict.ROLL_BACK
    told = git(folder, "log", "-1", "--format=%(trailers:key=Evidence,valueonly)")
    assert json.loads((folder / PLACE / told).read_text())["trouble"] == "Prometheus is away"


def test_an_edit_after_a_kill_that_had_committed_stays(folder, measured, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkouts.Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        look(folder)
    check_that_an_edit_stays(folder)


def test_another_package_of_the_same_version_is_refused(folder, measured):
    while look(folder) is not None:
        pass
    with checkout(str(folder)) as delivery, pytest.raises(DeliveryError, match="another package serves"):
        promote(delivery, "dev", replace(SECOND, package_uri="file:///elsewhere/2/package"))


def test_a_pause_that_ended_is_known_by_its_commit(folder, measured):
    with checkout(str(folder)) as delivery:
        assert read_rollout(delivery, "dev", TASK)[0].resumed is None
    pause(str(folder), "dev", TASK, True)
    pause(str(folder), "dev", TASK, False)
    with checkout(str(folder)) as delivery:
        resumed = read_rollout(delivery, "dev", TASK)[0].resumed
        assert resumed == delivery.repository.head.commit.committed_datetime


def test_a_look_at_real_counts_writes_them_down(folder):
    """From samples to the committed evidence, with nothing in between replaced."""
    with checkout(str(folder)) as delivery:
        opened = delivery.repository.head.commit.committed_date
        service = serving(folder)
        service.weigh(50, 1)
        delivery.change({PLACE / "inferenceservice.yaml": service.text}, "By hand")
    made = Traffic()
    begun = opened - MIDNIGHT.timestamp() - 7200
    made.pod("1", begun, begun + 14400, 20, errors=0.002)
    made.pod("2", begun + 7215, begun + 14400, 20, errors=0.2)
    now = datetime.fromtimestamp(opened + 1800, UTC)
    decision = tick(str(folder), "dev", TASK, Judge(made), now)
    assert (decision.verdict, decision.why) == (Verdict.ROLL_BACK, "errors speaks against version 2")
    told = git(folder, "log", "-1", "--format=%(trailers:key=Evidence,valueonly)")
    record = json.loads((folder / PLACE / told).read_text())
    assert record["pods"] == 1
    errors = record["compared"][0]
    assert errors["check"] == "errors" and len(errors["windows"]) == len(errors["ends"])
    assert record["harm_by_window"][-1][1] == pytest.approx(record["harm"]["evidence"])
