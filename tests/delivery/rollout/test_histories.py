"""Random histories of traffic, kills and people's commits, against a real Git repository.

Nothing of the judge is replaced: what it reads are samples of simulated pods, and what it writes are commits.
"""

import json
import math
import os
import sys
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from git import Repo
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import bonafide.delivery
from bonafide.delivery.checkout import checkout
from bonafide.delivery.modes import parse_service
from bonafide.delivery.repository import Promotion, folder_of, promote, trailers
from bonafide.delivery.rollout import tick as looking
from bonafide.delivery.rollout.decide import Verdict
from bonafide.delivery.rollout.hand import pause, roll_back
from bonafide.delivery.rollout.tick import Judge, tick
from bonafide.errors import BonafideError
from tests.delivery.rollout.world import SOUND, World
from tests.delivery.test_repository import FIRST

START = datetime(2026, 1, 2, tzinfo=UTC)
TASK, PLACE = "authenticity", folder_of("dev", "authenticity")
SERVICE, ROLLOUT = PLACE / "inferenceservice.yaml", PLACE / "rollout.yaml"
STEPS, LEAST = [0, 10, 50, 100], {True: 300, False: 200}
RULES = f"""# by hand
steps: {STEPS}
bake_minutes: 1
warm_up_minutes: 0
deadline_minutes: 240
ready_minutes: 60
replays: {LEAST[True]}
minimum_requests: {LEAST[False]}
"""
HAND = "By hand"
# What a version may do to live requests that it does not do in the dark.
FAULTS = ({}, {}, {"errors": 0.5}, {"label": 1.0}, {"slow": 0.9})
DELIVERY = str(Path(bonafide.delivery.__file__).parent)
minutes = st.sampled_from([0, 2, 20, 45, 90])


class KilledError(BaseException):
    """Takes the place of a process that ends."""


@contextmanager
def killed(at):
    """Ends what is done within before its ``at``-th line in ``bonafide.delivery``."""
    left = at

    def line(frame, what, _):
        nonlocal left
        if what == "line":
            left -= 1
            if left < 0:
                raise KilledError
        return line

    def call(frame, *_):
        return line if frame.f_code.co_filename.startswith(DELIVERY) else None

    before = sys.gettrace()
    sys.settrace(call)
    try:
        yield
    except KilledError:
        event("killed")
    finally:
        sys.settrace(before)


@cache
def parsed(text):
    return parse_service(text, "it")


class Histories(RuleBasedStateMachine):
    """What must hold whatever happens: see the invariants."""

    @initialize(seed=st.integers(0, 2**32 - 1))
    def a_day_before(self, seed):
        self.scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self.scratch.name, "delivery")
        self.patch = pytest.MonkeyPatch()
        self.patch.setenv("BONAFIDE_HOME", self.scratch.name)
        for module in (looking, "bonafide.delivery.rollout.hand"):  # there is no registry
            self.patch.setattr(f"{getattr(module, '__name__', module)}.follow", lambda *_: None)
        self.number, self.bad = 1, set()
        self.at(START)
        self.promote(FIRST)
        self.repository = Repo(self.folder)
        self.commit({ROLLOUT: RULES})
        self.known = self.repository.head.commit
        self.world = World(seed, START.timestamp())
        self.pass_time(24 * 60)

    def teardown(self):
        try:
            if hasattr(self, "world"):
                self.every_rollout_ends()
                self.every_commit_is_allowed()
        finally:
            self.patch.undo()
            self.repository.close()
            self.scratch.cleanup()

    @precondition(lambda self: not self.service().canary)
    @rule(fault=st.sampled_from(FAULTS), odd=st.sampled_from([False, False, False, True]))
    def a_version_is_promoted(self, fault, odd):
        self.number += 1
        number = str(self.number)
        self.world.truths[number] = SOUND | fault
        self.world.odd |= {number} if odd else set()
        self.bad |= {number} if fault else set()
        self.promote(Promotion(TASK, number, f"s3://models/{number}", *["x"] * 4, number, "y"))

    @rule(
        minutes=minutes,
        unready=st.sampled_from([False, False, True]),
        restart=st.sampled_from([0.0, 0.0, 0.5]),
        gap=st.sampled_from([(1.0, 1.0), (1.0, 1.0), (0.2, 0.8), (0.7, 1.0)]),
        pods=st.sampled_from([2, 2, 1, 4]),
    )
    def time_passes_with_trouble(self, minutes, unready, restart, gap, pods):
        self.world.stable_pods = pods
        self.pass_time(minutes, unready=unready, restart=restart, gap=gap)
        self.look()

    @rule(minutes=minutes, times=st.sampled_from([1, 1, 3]))
    def looks(self, minutes, times):
        for _ in range(times):
            self.pass_time(minutes)
            self.look()

    @rule()
    def two_looks_at_once(self):
        """Nothing was measured since the first one."""
        first, head = self.look(), self.repository.head.commit
        second = self.look()
        if first and first.verdict is not Verdict.HOLD:
            assert second is None or second.verdict is Verdict.HOLD
        assert self.repository.head.commit == head

    @rule(minutes=minutes, at=st.integers(0, 900))
    def a_look_that_is_killed(self, minutes, at):
        """Before any line; the next look takes back what it left."""
        self.pass_time(minutes)
        with killed(at):
            self.look()

    @rule()
    def a_look_without_samples(self):
        self.world.away = True
        head = self.repository.head.commit
        try:
            decision = self.look()
            assert decision is None or decision.verdict is Verdict.ROLL_BACK
        except BonafideError:
            assert self.repository.head.commit == head
        self.world.away = False

    @precondition(lambda self: self.service().canary)
    @rule(weight=st.sampled_from([5, 20, 60]))
    def a_person_changes_the_weight(self, weight):
        lines = (self.folder / SERVICE).read_text().split("\n")
        changed = [f"  - trafficPercent: {weight}" if "trafficPercent" in line else line for line in lines]
        self.commit({SERVICE: "\n".join(changed)})

    @rule(paused=st.booleans(), at=st.sampled_from([10**6, 10, 60]))
    def a_person_pauses_or_resumes(self, paused, at):
        with killed(at):
            pause(str(self.folder), "dev", TASK, paused)

    @rule(broken=st.sampled_from([SERVICE, ROLLOUT]))
    def a_person_breaks_a_file_and_mends_it(self, broken):
        before = self.committed(broken)
        open_, read = bool(self.service().canary), broken == SERVICE
        self.commit({broken: "apiVersion: [\n"})
        try:
            assert self.look() is None and not open_ and not read
        except BonafideError:
            event("refused a broken file")
        self.commit({broken: before})

    @precondition(lambda self: self.service().canary)
    @rule()
    def a_person_leaves_a_file_uncommitted(self):
        """It is still there after a look, and the look changed nothing else."""
        head, text = self.repository.head.commit, f"{self.committed(SERVICE)}# not yet\n"
        (self.folder / SERVICE).write_text(text)
        try:
            decision = self.look()
            assert decision is None or decision.verdict is Verdict.HOLD
        except BonafideError:
            event("refused what was left uncommitted")
        assert self.repository.head.commit == head
        assert (self.folder / SERVICE).read_text() == text
        self.repository.git.checkout("--", SERVICE.as_posix())

    @precondition(lambda self: self.service().canary)
    @rule(at=st.sampled_from([10**6, 10**6, 60, 150, 300]))
    def a_person_rolls_back(self, at):
        """It is always possible while a canary is on trial."""
        stable = self.service().stable
        with killed(at):
            assert roll_back(str(self.folder), "dev", TASK) == stable.version
        if at == 10**6:
            assert self.service().stable == stable and not self.service().canary

    @invariant()
    def every_commit_is_allowed(self):
        """History only grows; traffic to a version on trial rises by a judgement that passed, or a person."""
        if not hasattr(self, "world"):
            return
        new, head = [], self.repository.head.commit
        commit = head
        while commit != self.known:
            new.append(commit)
            (commit,) = commit.parents
        for commit in reversed(new):
            if HAND not in commit.message:
                self.is_allowed(commit)
        self.known = head

    def is_allowed(self, commit):
        (parent,) = commit.parents
        before, after = (parsed(self.text(each, SERVICE)) for each in (parent, commit))
        same = before.canary == after.canary
        if after.canary and after.weight > (before.weight if same else 0):
            event(f"advanced to {after.weight} %")
            record = self.judgement(parent, commit)
            assert same and record["verdict"] == "advance"
            assert (before.weight, after.weight) == (record["weight"]["before"], record["weight"]["after"])
            assert after.weight == min(step for step in STEPS if step > before.weight)
            assert before.weight == 0 or after.canary.version not in self.bad
            assert record["checks"] and record["ready"]
            least = LEAST[before.weight == 0]
            assert all(c["trials"] >= least and c["safe"] >= math.log(50) for c in record["checks"])
        elif before.canary and after.stable == before.canary:
            event("finished")
            assert before.weight == 100 and self.judgement(parent, commit)["verdict"] == "finish"
            assert before.canary.version not in self.bad

    def judgement(self, parent, commit):
        """What a look's commit says it was made by; a paused rollout does not go on."""
        assert "paused: true" not in self.text(parent, ROLLOUT)
        return json.loads(self.text(commit, PLACE / trailers(commit)["Evidence"]))

    def every_rollout_ends(self):
        """With traffic and looks it is finished or rolled back within its deadlines."""
        self.settle()
        pause(str(self.folder), "dev", TASK, False)
        for _ in range(4 * 240 // 30 + 4):
            if not self.service().canary:
                return
            self.pass_time(30)
            self.look()
        raise AssertionError("a rollout that does not end")

    def look(self):
        return tick(str(self.folder), "dev", TASK, Judge(self.world, self.world), self.now)

    def pass_time(self, minutes, **trouble):
        self.at(self.now + timedelta(minutes=minutes))
        self.world.run(60 * minutes, self.service(), **trouble)

    def at(self, now):
        """The time, for Git too."""
        self.now = now
        for who in ("AUTHOR", "COMMITTER"):
            self.patch.setenv(f"GIT_{who}_DATE", f"{int(now.timestamp())} +0000")

    def service(self):
        return parsed(self.committed(SERVICE))

    def committed(self, path):
        return self.text(self.repository.head.commit, path)

    @staticmethod
    def text(commit, path):
        return (commit.tree / path.as_posix()).data_stream.read().decode()

    def settle(self):
        """What a kill left is taken back by the next change."""
        with checkout(str(self.folder)) as delivery:
            delivery.change({}, "Nothing")

    def promote(self, promotion):
        with checkout(str(self.folder)) as delivery:
            promote(delivery, "dev", promotion)

    def commit(self, files):
        with checkout(str(self.folder)) as delivery:
            delivery.change(files, HAND)


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=int(os.environ.get("BONAFIDE_HISTORIES", "5")),
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
