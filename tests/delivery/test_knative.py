"""Knative mode: the form of the file, and what a cluster makes of it."""

import os
from collections import Counter
from functools import lru_cache

import pytest
import yaml
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bonafide.delivery.manifests import to_yaml
from bonafide.delivery.modes import parse_service
from bonafide.delivery.service import Served
from bonafide.errors import DeliveryError
from tests.delivery.cluster import PERCENT, Cluster
from tests.delivery.manifest import ONE, THREE, TWO, again, knative, written


@pytest.fixture
def service():
    return parse_service(written("Knative"), "it")


@pytest.fixture
def cluster(service):
    """Version 1 has all traffic."""
    made = Cluster()
    made.settle(service.text)
    assert made.shares() == {"1": 100}
    return made


def content(service):
    return yaml.safe_load(service.text)


def test_a_rollout_changes_nothing_but_the_share_after_it_was_opened(service):
    service.open(TWO, 0)
    opened = content(service)
    assert opened["spec"]["predictor"].pop(PERCENT) == 0
    assert opened["metadata"]["annotations"]["serving.kserve.io/enable-tag-routing"] == "true"
    for weight in (10, 50, 100):
        service.weigh(weight, 9)
        now = content(service)
        assert now["spec"]["predictor"].pop(PERCENT) == weight
        assert now == opened
    service.finish()
    assert content(service) == opened


def test_what_a_person_wrote_stays(service):
    text = service.text.replace("  predictor:\n", "  predictor: # ours\n    # the first\n")
    text = text.replace("Knative\n", "Knative # agreed\n").replace("spec:\n", "# below\nspec:\n")
    text += "# the end\n"
    service = parse_service(text, "it")
    assert service.text == text
    service.open(TWO, 0)
    service = again(service)
    service.weigh(100, 1)
    service = again(service)
    service.finish()
    service = again(service)
    service.replace(ONE)
    tags = "    serving.kserve.io/enable-tag-routing: 'true'\n"
    assert tags in service.text
    for note in ("# ours", "# the first", "# agreed", "# below", "# night", "# the end"):
        assert note in service.text
    assert yaml.safe_load(service.text.replace(tags, "")) == yaml.safe_load(text)


def test_a_rollout_that_begins_with_a_share_is_refused(service):
    with pytest.raises(DeliveryError, match=r"let the steps of rollout.yaml begin with 0"):
        service.open(TWO, 10)
    assert again(service).text == written("Knative")


def test_a_canary_without_pods_is_refused(service):
    service = parse_service(service.text.replace("minReplicas: 1", "minReplicas: 0"), "it")
    with pytest.raises(DeliveryError, match="set minReplicas to 1 or more"):
        service.open(TWO, 0)


def test_after_a_rollback_all_traffic_at_once_is_refused(service):
    service.open(TWO, 0)
    service.weigh(10, 1)
    with pytest.raises(DeliveryError, match="bonafide rollback"):
        service.replace(THREE)
    service.drop()
    service.replace(ONE)
    before = service.text
    with pytest.raises(DeliveryError, match="remove canaryTrafficPercent once the revision of version 1"):
        service.replace(THREE)
    assert service.text == before
    by_hand = service.text.replace("    canaryTrafficPercent: 0\n", "")
    assert by_hand != service.text
    service = parse_service(by_hand, "it")
    service.replace(THREE)
    assert again(service).stable == THREE


def test_a_share_whose_rest_is_unknown_is_refused():
    made = knative()
    made["spec"]["predictor"][PERCENT] = 10
    with pytest.raises(DeliveryError, match=r"no annotation 'bonafide.dev/stable-version' says"):
        parse_service(to_yaml(made), "it")


@pytest.mark.parametrize("value", [-1, 101, 1.5, True, "10", None])
def test_kserve_s_schema_lets_any_share_pass_and_we_do_not(service, value):
    service.open(TWO, 0)
    made = content(service)
    made["spec"]["predictor"][PERCENT] = value
    with pytest.raises(DeliveryError, match="give 0 to 100"):
        parse_service(to_yaml(made), "it")


def test_the_other_mode_s_canary_is_refused(service):
    made = content(service)
    made["spec"]["canary"] = [{"trafficPercent": 0, "predictor": made["spec"]["predictor"]}]
    with pytest.raises(DeliveryError, match="which KServe refuses in Knative mode"):
        parse_service(to_yaml(made), "it")


def test_a_cluster_gives_the_shares_that_the_file_says(service, cluster):
    service.open(TWO, 0)
    cluster.settle(service.text)
    assert cluster.shares() == {"1": 100} and cluster.latest_ready.version == "2"
    for weight in (10, 50, 100):
        service.weigh(weight, 1)
        cluster.settle(service.text)
        assert cluster.shares() == +Counter({"1": 100 - weight, "2": weight})
    revisions = len(cluster.revisions)
    service.finish()
    cluster.settle(service.text)
    assert cluster.shares() == {"2": 100} and len(cluster.revisions) == revisions, "no pod starts again"


def test_the_old_package_without_a_share_would_send_all_traffic_to_the_bad_version(service, cluster):
    """Why a rollback keeps the share, at 0."""
    before = service.text
    service.open(TWO, 0)
    cluster.settle(service.text)
    service.weigh(10, 1)
    cluster.settle(service.text)
    cluster.kserve(before)
    cluster.configure()
    cluster.route()
    assert cluster.shares() == {"2": 100}


def test_a_share_of_0_alone_leaves_requests_with_a_version_that_crashes(service, cluster):
    """Why a rollback brings the old package back: a route stays while the newest is not ready."""
    service.open(TWO, 0)
    cluster.settle(service.text)
    service.weigh(10, 1)
    cluster.settle(service.text)
    cluster.become(1, ready=False)
    alone = again(service)
    alone.weigh(0, 1)
    cluster.kserve(alone.text)
    cluster.route()
    assert cluster.shares() == {"1": 90, "2": 10}
    service.drop()
    cluster.kserve(service.text)
    cluster.configure()
    cluster.become(2, ready=True)
    cluster.route()
    assert cluster.shares() == {"1": 100}


def test_a_share_of_0_would_keep_a_version_that_had_all_traffic(service, cluster):
    """Why a rollback at 100 % takes the share away: KServe holds the canary for what had all traffic last."""
    service.open(TWO, 0)
    cluster.settle(service.text)
    service.weigh(100, 1)
    cluster.settle(service.text)
    kept = content(service)
    kept["spec"]["predictor"] |= {PERCENT: 0, "model": knative()["spec"]["predictor"]["model"]}
    other = Cluster(**vars(cluster))
    other.revisions = list(cluster.revisions)
    other.settle(to_yaml(kept))
    assert other.shares() == {"2": 100}
    service.drop()
    cluster.settle(service.text)
    assert cluster.shares() == {"1": 100}


@lru_cache
def parsed(text):
    return parse_service(text, "it")


class Rollouts(RuleBasedStateMachine):
    """Promotions, judgements and rollbacks, beside controllers and pods that take their time."""

    def __init__(self):
        super().__init__()
        self.text, self.number, self.early = written("Knative"), 1, False
        self.cluster, self.given, self.served = Cluster(), Counter({"1": 100}), {"1": ONE}
        self.cluster.settle(self.text)

    @property
    def service(self):
        """To be changed, and written back as ``text``."""
        return parse_service(self.text, "it")

    @property
    def now(self):
        """To be read only."""
        return parsed(self.text)

    @precondition(lambda self: not self.now.canary)
    @rule()
    def a_version_is_promoted(self):
        self.early |= not self.settled()
        self.number += 1
        version = str(self.number)
        self.served[version] = Served(version, f"s3://models/{version}")
        service = self.service
        service.open(self.served[version], 0)
        self.text = service.text

    @precondition(lambda self: self.now.canary and self.answers(self.now.canary.version))
    @rule(weight=st.sampled_from([10, 50, 100]))
    def the_judge_advances(self, weight):
        """After an answer of the canary: in the dark by the tag of the newest revision, later by its pods."""
        service = self.service
        if weight > service.weight:
            service.weigh(weight, 1)
            self.text = service.text
            self.given[service.canary.version] = weight

    @precondition(lambda self: self.now.weight == 100)
    @rule()
    def the_judge_finishes(self):
        service = self.service
        service.finish()
        self.text = service.text
        assert not self.now.canary

    @rule()
    def a_trial_is_ended(self):
        """It is always possible."""
        service = self.service
        stable = service.stable
        service.drop()
        self.text = service.text
        assert self.now.stable == stable and not self.service.canary

    @precondition(lambda self: self.settled())
    @rule(weight=st.sampled_from([10, 50, 100]))
    def a_rollout_gets_as_far_as(self, weight):
        """Each commit is applied before the next."""
        self.a_version_is_promoted()
        self.all_is_quiet_for_a_while()
        self.the_judge_advances(weight)
        self.all_is_quiet_for_a_while()

    @rule()
    def a_version_is_promoted_at_once(self):
        """Without a rollout.yaml: it has all traffic, or it is refused."""
        self.number += 1
        version, service = str(self.number), self.service
        self.served[version] = Served(version, f"s3://models/{version}")
        try:
            service.replace(self.served[version])
        except DeliveryError:
            assert service.text == self.text
            return
        self.text, self.given[version] = service.text, 100

    @rule(to=st.integers(1, 5))
    def a_person_rolls_back_to_a_version(self, to):
        service, back = self.service, self.served.get(str(to))
        if back and self.given[back.version] == 100:
            try:
                service.replace(back)
            except DeliveryError:
                assert again(service).text == self.text
            self.text = service.text

    @rule()
    def the_file_is_applied(self):
        """Not every commit is: Argo CD applies the newest."""
        self.cluster.kserve(self.text)

    @rule()
    def a_revision_is_made(self):
        self.cluster.configure()

    @rule()
    def the_route_is_made(self):
        self.cluster.route()

    @rule(number=st.integers(0, 9), ready=st.sampled_from([True, True, False]))
    def pods_come_and_go(self, number, ready):
        self.cluster.become(number % len(self.cluster.revisions), ready)

    @rule()
    def all_is_quiet_for_a_while(self):
        self.cluster.settle(self.text)
        service = self.now
        if not self.early:
            weight = service.weight
            canary = {service.canary.version: weight} if service.canary else {}
            assert self.cluster.shares() == +Counter({service.stable.version: 100 - weight, **canary})
        self.early &= not self.settled()

    @invariant()
    def no_version_has_more_traffic_than_a_judgement_or_a_person_gave_it(self):
        assert all(share <= self.given[version] for version, share in self.cluster.shares().items())

    def settled(self):
        """Whether the stable version has had all traffic on the cluster, which a rollout builds on."""
        service, rolled_out = self.now, self.cluster.rolled_out
        whole = self.cluster.shares() == {service.stable.version: 100}
        return whole and rolled_out.version == service.stable.version and not service.canary

    def answers(self, version):
        newest = self.cluster.latest_ready
        if self.now.weight == 0:
            return newest.version == version and newest.ready
        return any(each.ready and each.version == version for each in self.cluster.revisions)


TestRollouts = Rollouts.TestCase
TestRollouts.settings = settings(
    max_examples=int(os.environ.get("BONAFIDE_HISTORIES", "25")), stateful_step_count=40, deadline=None
)
