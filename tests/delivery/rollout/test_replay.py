import math

import pytest

from bonafide.delivery.rollout import replay
from bonafide.delivery.rollout.decide import Rollout
from bonafide.delivery.rollout.replay import Replay, Replayer, findings, summary
from bonafide.delivery.rollout.settings import RolloutSettings
from bonafide.errors import ConfigError
from bonafide.serving.client import Client
from tests import packages
from tests.serving.conftest import start

SAME = [Replay("real", "real")] * 500 + [Replay("fake", "fake")] * 400


def found(replays):
    return {each.name: each for each in findings(replays, 0.1)}


def test_answers_that_do_not_change_keep_every_margin():
    told = found(SAME)
    assert set(told) == {"errors", "label fake", "label real"}
    assert all(each.harm <= 0 and each.safe > math.log(50) and each.trials == 900 for each in told.values())


def test_changes_in_both_directions_are_no_harm():
    told = found([*SAME, *[Replay("real", "fake")] * 30, *[Replay("fake", "real")] * 30])
    assert max(each.harm for each in told.values()) < 0


@pytest.mark.parametrize("replay", [Replay("real", "fake"), Replay("fake", "real")])
def test_a_share_that_moves_either_way_is_harm(replay):
    told = found([*SAME, *[replay] * 90])
    assert told["label fake"].harm > math.log(1000) and told["label real"].harm > math.log(1000)
    assert told["label fake"].safe < math.log(50)


def test_only_more_failures_are_harm():
    assert found([*SAME, *[Replay("real", None)] * 20])["errors"].harm > math.log(1000)
    assert found([*SAME, *[Replay(None, "real")] * 20])["errors"].harm < 0


def test_what_differs_is_told_with_an_exact_interval():
    told = summary([*SAME, *[Replay("real", None)] * 100])
    assert told["requests"] == 1000
    assert told["differ"]["share"] == 0.1
    assert told["differ"]["interval"] == pytest.approx([0.0821, 0.1203], abs=1e-4)  # R: binom.test(100, 1000)
    assert {"stable": "real", "canary": None, "requests": 100} in told["answers"]


def test_a_folder_without_images_is_told(tmp_path):
    replayer = Replayer("http://127.0.0.1:1", tmp_path)
    with pytest.raises(ConfigError, match=r"holds 0 to ask about, and rollout\.yaml asks for 1,000 replays"):
        replayer.replay("pets", rollout=type("R", (), {"settings": RolloutSettings()})())


@pytest.fixture(scope="module")
def server(signed):
    running = start(signed, "--version", "7")
    yield running
    running.process.terminate()
    running.process.wait(30)


@pytest.fixture
def asked(server, tmp_path):
    """Replays against a predictor of version 7, at this address; the folder has one image."""
    (tmp_path / "a.jpg").write_bytes(packages.image((220, 10, 10), 40, "JPEG"))

    def ask(url, canary):
        about = Rollout(RolloutSettings(replays=1), "7", canary, 0, 1, (), ())
        return Replayer(url.format(server.url), tmp_path).replay("colour", about)

    return ask


def test_an_answer_counts_if_the_version_that_was_asked_gave_it(asked):
    assert asked("{}", "7") == [Replay("red", "red")]
    with pytest.raises(ConfigError, match=r"version 7 answers at .*, where version 8 was to; if the address"):
        asked("{}", "8")


def test_an_image_that_the_stable_version_refuses_is_made_up_for_by_another(asked, tmp_path):
    """Else one such file would hold every rollout until its deadline."""
    for number in range(4):
        (tmp_path / f"{number}.jpg").write_bytes(b"no image")
    replays = asked("{}", "7")
    assert Replay("red", "red") in replays and Replay(None, None) in replays
    [errors, *_] = findings(replays, 0.1)
    assert errors.trials == 1


def test_revisions_are_asked_by_their_tags(asked, monkeypatch):
    """The stable one is the one before, the canary the newest that is ready."""
    hosts = []

    class Silent(Client):
        def __init__(self, url, *_, **__):
            hosts.append(url)
            super().__init__("http://127.0.0.1:1", "colour")

    monkeypatch.setattr("bonafide.delivery.rollout.replay.Client", Silent)
    url = "http://{{tag}}-pets-predictor.bonafide-dev.svc.cluster.local"
    assert asked(url, "8") == [Replay(None, None)]
    assert hosts == [
        f"http://{tag}-pets-predictor.bonafide-dev.svc.cluster.local" for tag in ("prev", "latest")
    ]


def test_what_nobody_answers_is_no_trial():
    told = findings([Replay(None, None)] * 1000, 0.1)
    assert [(each.name, each.trials) for each in told] == [("errors", 0)]
    half = findings([*SAME, *[Replay(None, "real")] * 300, *[Replay(None, None)] * 300], 0.1)
    assert {each.trials for each in half} == {900}


def test_rows_of_a_file_are_replayed_too(fruit, tmp_path):
    running = start(fruit, "--version", "7")
    (tmp_path / "rows.csv").write_text("width,length,weight,label\n7,1,1,round\n1,9,1,long\n1,50,1,long\n")
    about = Rollout(RolloutSettings(replays=2), "7", "7", 0, 1, (), ())
    try:
        replays = Replayer(running.url, tmp_path / "rows.csv").replay("shape", about)
    finally:
        running.process.terminate()
        running.process.wait(30)
    assert sorted(map(str, replays)) == sorted(
        map(str, [Replay("round", "round"), Replay("long", "long"), Replay(None, None)])
    )


def test_of_a_sorted_file_rows_of_all_kinds_are_replayed(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,label\n" + "0,x\n" * 500 + "1,y\n" * 500)
    sent = [read()["a"][0] for read in replay._chosen(path, 400)]
    assert len(sent) == 1000
    assert 150 < sum(sent[:400]) < 250
    assert sent == [read()["a"][0] for read in replay._chosen(path, 400)]
