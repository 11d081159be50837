"""The order of environments, the champion, and what was rolled back."""

import pytest

from bonafide.delivery.checkout import checkout
from bonafide.delivery.promote import promote_version
from bonafide.delivery.repository import environments, folder_of, tasks
from bonafide.delivery.rollout.hand import roll_back
from bonafide.errors import DeliveryError
from bonafide.registry.versions import champion

pytestmark = pytest.mark.usefixtures("registry")
TASK = "authenticity"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "delivery"


def promote(version, folder, environment="dev", **more) -> str:
    return promote_version(TASK, version.number, str(folder), environment, **more)


def test_a_version_goes_through_environments_in_their_order(record, folder):
    first, second = record(model=b"one"), record(model=b"two", champion="1")
    for environment in ("dev", "staging", "prod"):
        promote(first, folder, environment)
    with checkout(str(folder)) as delivery:
        assert environments(delivery, TASK) == ["dev", "staging", "prod"]
        assert tasks(delivery) == [TASK]
    with pytest.raises(DeliveryError, match=r"does not serve in staging.*before prod: version 1 does"):
        promote(second, folder, "prod")
    promote(second, folder, "dev")
    with pytest.raises(DeliveryError, match="does not serve in staging"):
        promote(second, folder, "prod")
    promote(second, folder, "staging")
    promote(second, folder, "prod")
    assert champion(TASK) == second


def test_the_champion_serves_in_the_last_environment(record, folder):
    first, second = record(model=b"one"), record(model=b"two", champion="1")
    promote(first, folder, "dev")
    assert champion(TASK) == first
    promote(first, folder, "prod")
    promote(second, folder, "dev")
    assert champion(TASK) == first, "dev changes nobody else's champion"


def test_a_canary_is_no_champion(record, folder):
    first, second = record(model=b"one"), record(model=b"two", champion="1")
    promote(first, folder)
    with checkout(str(folder)) as delivery:
        delivery.change({folder_of("dev", TASK) / "rollout.yaml": ""}, "Judge")
    promote(second, folder)
    assert champion(TASK) == first


def test_the_same_bytes_are_not_promoted_again_unasked(record, folder):
    first, second = record(model=b"one"), record(model=b"two", champion="1")
    promote(first, folder)
    promote(second, folder)
    assert roll_back(str(folder), "dev", TASK) == "1"
    assert champion(TASK) == first
    with pytest.raises(DeliveryError, match=r"was rolled back in dev.*--again"):
        promote(second, folder)
    promote(second, folder, again=True)
    assert champion(TASK) == second
