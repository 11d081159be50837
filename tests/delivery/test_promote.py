import pytest

from bonafide.delivery import promote as step
from bonafide.delivery.current import in_service
from bonafide.delivery.promote import promote_version
from bonafide.model.package import verify
from bonafide.registry.versions import champion, register


@pytest.fixture
def version(made, registry):
    return register(made.package, made.dataset, made.evaluation, made.gate, made.keys / "signing.pub")


def test_a_version_goes_into_service_and_is_the_champion(made, version, tmp_path):
    commit = promote_version("authenticity", version.number, tmp_path / "delivery", "dev")
    assert promote_version("authenticity", version.number, tmp_path / "delivery", "dev") == commit
    assert champion("authenticity").number == version.number
    served = in_service(tmp_path / "delivery", "dev", "authenticity")
    assert served.version == version.number
    assert verify(served.package, made.keys / "signing.pub") == verify(
        made.package, made.keys / "signing.pub"
    )


def test_a_promotion_cut_off_before_the_crown_is_finished_by_the_next(version, tmp_path, monkeypatch):
    def cut_off(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(step, "crown", cut_off)
        promote_version("authenticity", version.number, tmp_path / "delivery", "dev")
    assert champion("authenticity") is None
    promote_version("authenticity", version.number, tmp_path / "delivery", "dev")
    assert champion("authenticity").number == version.number
