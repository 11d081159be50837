"""Random histories of measurements, kills and people's commits, against a real Git repository."""

import math
import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from git import Repo
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bonafide.delivery import checkout as checkouts
from bonafide.delivery.checkout import Checkout, checkout
from bonafide.delivery.repository import Promotion, folder_of, promote
from bonafide.delivery.rollout import tick as looking
from bonafide.delivery.rollout.decide import Evidence, Finding, Verdict
from bonafide.delivery.rollout.hand import pause, roll_back
from bonafide.delivery.rollout.tick import Judge, tick
from bonafide.delivery.service import Service
from tests.delivery.rollout.traffic import Traffic
from tests.delivery.test_repository import FIRST

START = datetime(2026, 1, 2, tzinfo=UTC)
TASK, PLACE = "authenticity", folder_of("dev", "authenticity")
ROLLOUT = "# by hand\nsteps: [0, 10, 50, 100]\nbake_minutes: 1\nwarm_up_minutes: 0\ndeadline_minutes: 30\n"
STEPS = {"read": Checkout, "write_text": checkouts, "commit": Checkout, "unlink": Path}
logs = st.sampled_from([-3.0, 0.0, 4.0, 8.0])
EVER = datetime(2026, 1, 1, tzinfo=UTC)
finding = st.builds(Finding, st.just("errors"), logs, logs, st.just(0.3), st.sampled_from([0, 5000]))
found = st.one_of(
    st.just(Evidence([Finding("errors", 0.0, 8.0, 0.3, 5000)], EVER)),
    st.builds(Evidence, st.lists(finding, max_size=2), st.sampled_from([None, EVER, EVER])),
)


class KilledError(BaseException):
    """Takes the place of a process that ends."""


class Histories(RuleBasedStateMachine):
    """What must hold whatever happens: see the invariants."""

    def __init__(self):
        super().__init__()
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self.scratch.name, "delivery")
        self.patch = pytest.MonkeyPatch()
        self.patch.setenv("BONAFIDE_HOME", self.scratch.name)
        self.patch.setattr(looking, "_measure", lambda *_: (self.evidence, {"pods": 3}))
        self.patch.setattr(looking, "follow", lambda *_: None)
        self.patch.setattr("bonafide.delivery.rollout.hand.follow", lambda *_: None)
        self.evidence, self.number = Evidence((), None), 1
        self.at(START)
        self.promote(FIRST)
        self.by_hand({"rollout.yaml": ROLLOUT})
        self.repository = Repo(self.folder)
        self.before, self.weight, self.allowed = self.repository.head.commit, (None, 0), set()

    def teardown(self):
        self.patch.undo()
        self.repository.close()
        self.scratch.cleanup()

    @precondition(lambda self: not self.canary())
    @rule()
    def a_version_is_promoted(self):
        self.number += 1
        number = str(self.number)
        self.promote(Promotion(TASK, number, f"s3://models/{number}", *["x"] * 4, number, "y"))

    @rule(evidence=found, minutes=st.sampled_from([0, 2, 40]))
    def a_look(self, evidence, minutes):
        decision = self.look(evidence, minutes)
        if decision and decision.verdict is Verdict.ADVANCE:
            assert evidence.ready
            assert all(each.safe >= math.log(50) and each.trials >= 200 for each in evidence.findings)
            assert evidence.findings or self.last.weight == 100
            self.allowed = {decision.weight}

    @rule(evidence=found)
    def two_looks_at_once(self, evidence):
        """Nothing was measured since the first one."""
        first, head = self.look(evidence, 2), self.repository.head.commit
        second = self.look(evidence, 0)
        if first and first.verdict is Verdict.ADVANCE:
            self.allowed = {first.weight}
            assert second.verdict in (Verdict.HOLD, Verdict.ROLL_BACK)
        back = second is not None and second.verdict is Verdict.ROLL_BACK
        assert back or self.repository.head.commit == head

    @rule(evidence=found, at=st.sampled_from(list(STEPS)), minutes=st.sampled_from([2, 40]))
    def a_look_that_is_killed(self, evidence, at, minutes):
        """Before or in any step that writes; the next look takes back what it left."""

        def kill(*_, **__):
            raise KilledError

        with pytest.MonkeyPatch.context() as patch:
            where = {"read": checkouts.Checkout, "commit": checkouts.Checkout, "unlink": Path}.get(
                at, checkouts
            )
            patch.setattr(where, at, kill)
            try:
                decision = self.look(evidence, minutes)
            except KilledError:
                decision = None
        if decision is None and at == "unlink":
            self.allowed = {
                min({10, 50, 100} - set(range(self.last.weight + 1)), default=100)
            }  # committed, unheard of

    @precondition(lambda self: self.canary())
    @rule(weight=st.sampled_from([5, 20, 60]))
    def a_person_changes_the_weight(self, weight):
        text = (self.folder / PLACE / "inferenceservice.yaml").read_text()
        lines = [
            f"  - trafficPercent: {weight}" if "trafficPercent" in line else line for line in text.split("\n")
        ]
        self.by_hand({"inferenceservice.yaml": "\n".join(lines)})
        self.allowed = {weight}

    @rule(paused=st.booleans())
    def a_person_pauses_or_resumes(self, paused):
        pause(str(self.folder), "dev", TASK, paused)

    @rule()
    def a_person_rolls_back(self):
        """It is always possible while a canary is on trial."""
        if self.canary():
            stable = self.service().stable
            assert roll_back(str(self.folder), "dev", TASK) == stable.version
            assert self.service().stable == stable and not self.canary()

    @precondition(lambda self: self.canary())
    @rule()
    def a_look_finds_harm(self):
        """It rolls back at any step, paused or not."""
        stable = self.service().stable
        decision = self.look(Evidence([Finding("errors", 9.0, 0.0, 0.3, 1)], None), 0)
        assert decision.verdict is Verdict.ROLL_BACK
        assert self.service().stable == stable and not self.canary()

    @invariant()
    def traffic_to_a_version_on_trial_rises_only_by_a_judgement_or_a_person(self):
        service = self.service()
        weight = service.weight if service.canary else 0
        known = self.weight
        version = service.canary and service.canary.version
        if (version == known[0] and weight > known[1]) or (version != known[0] and weight > 0):
            assert weight in self.allowed
        self.weight, self.allowed = (version, weight), set()

    @invariant()
    def history_only_grows(self):
        head = commit = self.repository.head.commit
        while commit != self.before:
            (commit,) = commit.parents
        self.before = head

    def look(self, evidence, minutes):
        self.evidence, self.last = evidence, self.service()
        self.at(self.now + timedelta(minutes=minutes))
        return tick(str(self.folder), "dev", TASK, Judge(Traffic()), self.now)

    def at(self, now):
        """The time, for Git too."""
        self.now = now
        for who in ("AUTHOR", "COMMITTER"):
            self.patch.setenv(f"GIT_{who}_DATE", f"{int(now.timestamp())} +0000")

    def service(self):
        return Service((self.folder / PLACE / "inferenceservice.yaml").read_text(), "it")

    def canary(self):
        return self.service().canary

    def promote(self, promotion):
        with checkout(str(self.folder)) as delivery:
            promote(delivery, "dev", promotion)

    def by_hand(self, files):
        with checkout(str(self.folder)) as delivery:
            delivery.change({PLACE / name: text for name, text in files.items()}, "By hand")


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=int(os.environ.get("BONAFIDE_HISTORIES", "25")),
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
