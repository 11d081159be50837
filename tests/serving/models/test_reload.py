"""New packages are served, bad ones refused, whatever the order in which they come."""

import asyncio
import gc
import json
import logging
import os
import re
import shutil
import weakref
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from prometheus_client import REGISTRY

from bonafide.errors import DeliveryError, PackageError
from bonafide.serving.compute.engine import Engine
from bonafide.serving.errors import RequestError
from bonafide.serving.models.locations import folder, stamp
from bonafide.serving.models.predictor import Predictor
from bonafide.serving.models.reload import Watcher
from bonafide.serving.models.versions import Models
from tests import packages
from tests.patience import until
from tests.serving.conftest import start

GOOD = (2.0, 4.0, 8.0)
BAD = ("changed", "stranger", "incomplete", "wrong-graph", "other-task")


@pytest.fixture(scope="module")
def pool(tmp_path_factory) -> Path:
    """Good packages, named by their sharpness, and bad ones, named by what is wrong."""
    made = tmp_path_factory.mktemp("pool")
    for sharpness in GOOD:
        packages.make(made, str(sharpness), sharpness)
    packages.make(made, "wrong-graph", heatmap_size=(4, 5))
    packages.make(made, "other-task", task="shape")
    shutil.move(packages.make(made / "elsewhere", "stranger").path, made / "stranger")
    for name in ("changed", "incomplete"):
        packages.make(made, name)
    (made / "changed" / "gate.json").write_text('{"promote": true}')
    (made / "incomplete" / "signature").unlink()
    return made


class Place:
    """A location that is served, without a network."""

    def __init__(self, pool: Path, location: Path, version: str = "") -> None:
        self.pool, self.location, self.version = pool, location, version
        self.models = Models()

    def start(self) -> "Place":
        source = folder(self.location, self.version)
        self.watcher = Watcher(source, self.load, self.models, 5)
        self.watcher.start()
        return self

    def load(self, package: Path, version: str) -> Predictor:
        engine = Engine(package, self.pool / "keys" / "signing.pub", threads=1)
        predictor = Predictor(engine, None, version or engine.info.model_digest[:12])
        predictor.load()
        return predictor

    def put(self, name: str, version: str = "") -> None:
        """Replace what is there by a package of the pool, in one step."""
        target = self.location / version if version else self.location
        partial = target.with_name(f".{target.name}.partial")
        shutil.copytree(self.pool / name, partial)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)

    def close(self) -> None:
        self.models.remove("colour")


def digests(pool: Path) -> dict[str, str]:
    return {
        str(name): packages.package.verify(pool / str(name), pool / "keys" / "signing.pub").model_digest
        for name in GOOD
    }


def count(outcome: str) -> float:
    return (
        REGISTRY.get_sample_value("bonafide_model_loads_total", {"model": "colour", "outcome": outcome}) or 0
    )


@pytest.fixture
def place(pool, tmp_path):
    made = Place(pool, tmp_path / "package")
    made.put("2.0")
    yield made
    made.close()


@pytest.fixture
def several(pool, tmp_path):
    made = Place(pool, tmp_path / "versions")
    made.location.mkdir()
    yield made
    made.close()


def default(place: Place) -> str:
    """The sharpness of the default version."""
    current = place.models.find("colour")
    return next(name for name, digest in digests(place.pool).items() if digest == current.info.model_digest)


def test_a_package_is_named_by_its_digest_or_as_told(place):
    digest = digests(place.pool)["2.0"][:12]
    assert place.start().models.versions("colour") == (digest,)
    place.version = "7"
    place.close()
    assert place.start().models.versions("colour") == ("7",)


def test_new_content_is_served_and_the_old_version_stays(place):
    place.start()
    place.put("4.0")
    place.watcher.poll()
    assert default(place) == "4.0"
    expected = tuple(digests(place.pool)[name][:12] for name in ("4.0", "2.0"))
    assert place.models.versions("colour") == expected


def test_a_link_may_be_pointed_elsewhere_and_back(pool, tmp_path):
    place = Place(pool, tmp_path / "current")
    place.location.symlink_to(pool / "2.0")
    place.start()
    first = place.models.find("colour")
    for name in ("4.0", "2.0"):
        (tmp_path / "next").symlink_to(pool / name)
        (tmp_path / "next").rename(place.location)
        place.watcher.poll()
        assert default(place) == name
    assert place.models.find("colour") is first
    place.close()


def test_nothing_is_loaded_while_nothing_changes(several, monkeypatch):
    for version in "123":
        several.put("2.0", version)
    several.start()
    before = several.models.find("colour")
    monkeypatch.setattr(Engine, "__init__", lambda *_, **__: pytest.fail("it looked into a package"))
    for _ in range(3):
        several.watcher.poll()
    assert several.models.find("colour") is before
    assert len(several.models.index(ready_only=False)) == 2


def test_touched_files_change_nothing(place):
    place.start()
    before, loads = place.models.find("colour"), count("loaded")
    for path in place.location.iterdir():
        path.touch()
    place.watcher.poll()
    assert place.models.find("colour") is before
    assert count("loaded") == loads


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_package_leaves_the_old_one_and_is_told_once(place, bad, caplog):
    place.start()
    place.put(bad)
    refusals = count("refused")
    for _ in range(4):
        place.watcher.poll()
    assert default(place) == "2.0"
    assert count("refused") == refusals + 1
    (record,) = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert (record.message, record.model) == ("a package is refused", "colour")
    assert str(place.location) in record.reason
    ready, absent = place.models.index(ready_only=False)
    assert ready["state"] == "READY"
    assert (absent["state"], absent["reason"]) == ("UNAVAILABLE", record.reason)
    place.put("4.0")
    place.watcher.poll()
    assert default(place) == "4.0"
    assert len(place.models.index(ready_only=False)) == 2


def test_a_package_that_is_being_copied_is_not_told(place, pool):
    place.start()
    refusals = count("refused")
    shutil.rmtree(place.location)
    place.watcher.poll()
    place.location.mkdir()
    for path in sorted((pool / "4.0").iterdir()):
        assert default(place) == "2.0"
        content = path.read_bytes()
        (place.location / path.name).write_bytes(content[: len(content) // 2])
        place.watcher.poll()
        (place.location / path.name).write_bytes(content)
        place.watcher.poll()
    assert default(place) == "4.0"
    assert count("refused") == refusals


def test_a_loader_that_breaks_is_a_refusal(place, monkeypatch):
    place.start()
    place.put("4.0")
    with monkeypatch.context() as patch:
        patch.setattr(Engine, "warm", lambda _: 1 / 0)
        place.watcher.poll(final=True)
    assert default(place) == "2.0"
    assert "division by zero" in place.models.index(ready_only=False)[1]["reason"]
    place.models.control = place.watcher
    ask(place.models.load)
    assert default(place) == "4.0"


def test_while_it_loads_the_index_says_so(place, monkeypatch):
    seen = []
    place.start()
    place.put("4.0")
    monkeypatch.setattr(Engine, "warm", lambda _: seen.extend(place.models.index(ready_only=False)))
    place.watcher.poll()
    assert [entry["state"] for entry in seen] == ["READY", "LOADING"]


@pytest.mark.parametrize("bad", [*BAD[:-1], None])
def test_the_first_package_must_be_good(place, bad):
    if bad:
        place.put(bad)
    else:
        shutil.rmtree(place.location)
    with pytest.raises(PackageError, match=str(place.location)):
        place.start()
    assert place.models.names == ()


def test_the_newest_of_several_versions_is_the_default(several):
    for version, name in {"9": "2.0", "10": "4.0", "8": "8.0", ".11": "8.0"}.items():
        several.put(name, version)
    (several.location / "12").mkdir()
    (several.location / "12" / "model.onnx").write_bytes(b"the rest is on its way")
    several.start()
    assert several.models.versions("colour") == ("10", "9")
    several.put("8.0", "v1.10")
    several.put("2.0", "v1.9")
    several.watcher.poll()
    assert several.models.versions("colour") == ("v1.10", "v1.9")


def test_a_newest_version_that_is_bad_is_told_though_it_was_there_first(several, caplog):
    several.put("2.0", "1")
    several.put("changed", "2")
    refusals = count("refused")
    several.start()
    several.watcher.poll()
    assert several.models.versions("colour") == ("1",)
    assert count("refused") == refusals + 1
    assert [entry.version for entry in caplog.records if entry.levelno == logging.ERROR] == ["2"]


def test_a_version_taken_away_gives_way_to_the_one_before(several):
    for version in "123":
        several.put("2.0", version)
    several.start()
    shutil.rmtree(several.location / "3")
    several.watcher.poll()
    assert several.models.versions("colour") == ("2", "1")
    shutil.rmtree(several.location / "2")
    shutil.rmtree(several.location / "1")
    several.watcher.poll()
    assert several.models.find("colour").version == "2"


def test_a_refused_version_that_is_no_longer_looked_at_does_no_harm(several):
    several.put("2.0", "1")
    several.start()
    several.models.control = several.watcher
    several.put("changed", "1")
    several.watcher.poll(final=True)
    for version in "23":
        several.put("4.0", version)
    for _ in range(2):
        ask(several.models.load)
        assert several.models.versions("colour") == ("3", "2")


def ask(call, name="colour") -> None:
    asyncio.run(call(name))


def test_a_client_may_load_and_unload(place):
    place.start()
    models = place.models
    models.control = place.watcher
    place.put("4.0")
    ask(models.load)
    assert default(place) == "4.0"
    ask(models.unload)
    assert models.find("colour") is None
    assert models.index(ready_only=False) == [
        {"name": "colour", "version": "", "state": "UNAVAILABLE", "reason": "unloaded"}
    ]
    place.put("8.0")
    place.watcher.poll()
    assert models.find("colour") is None
    place.put("changed")
    refusals = count("refused")
    with pytest.raises(RequestError, match=r"gate\.json was changed") as caught:
        ask(models.load)
    assert caught.value.status == 400
    assert count("refused") == refusals + 1
    place.put("8.0")
    ask(models.load)
    assert default(place) == "8.0"


def test_trouble_with_the_source_is_logged_once_and_overcome(pool, caplog):
    answers = [pool / "2.0", *[DeliveryError("the registry is away")] * 3, OSError("no disk"), pool / "4.0"]
    served = Place(pool, pool)

    def source():
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return {answer.name: answer}

    async def follow():
        watcher = Watcher(source, served.load, served.models, 0.001)
        watcher.start()
        task = asyncio.create_task(watcher.run())
        while served.models.versions("colour") != ("4.0", "2.0"):
            await asyncio.sleep(0.001)
        task.cancel()

    asyncio.run(asyncio.wait_for(follow(), 30))
    warned = [entry.message for entry in caplog.records if entry.levelno == logging.WARNING]
    assert warned == [
        f"cannot ask for new versions: {trouble}" for trouble in ("the registry is away", "no disk")
    ]
    served.close()


def test_a_client_is_told_that_the_source_is_away(place):
    place.start()
    place.models.control = place.watcher
    place.watcher._source = lambda: (_ for _ in ()).throw(DeliveryError("the registry is away"))
    with pytest.raises(RequestError, match="the registry is away") as caught:
        ask(place.models.load)
    assert caught.value.status == 503


def test_a_version_that_retires_is_freed(place):
    place.start()
    first = weakref.ref(place.models.find("colour")._engine.model._session)
    for name in ("4.0", "8.0"):
        assert first() is not None
        place.put(name)
        place.watcher.poll()
    gc.collect()
    assert first() is None


def resident() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_swaps_do_not_gather_memory(place):
    place.start()

    def swap(times: int) -> None:
        for turn in range(times):
            place.put(str(GOOD[turn % 3]))
            place.watcher.poll()

    swap(10)
    before = resident()
    swap(20)
    assert resident() - before < 16 * 2**20


def test_a_stamp_sees_every_file(pool, tmp_path):
    copy = shutil.copytree(pool / "2.0", tmp_path / "copy")
    seen = {stamp(copy)}
    for path in sorted(copy.iterdir()):
        path.write_bytes(path.read_bytes() + b"\n")
        seen.add(stamp(copy))
        os.utime(path, (0, 0))
        seen.add(stamp(copy))
    assert len(seen) == 13
    assert stamp(tmp_path / "absent") == ()


def ask_server(url: str, path: str = "/v2/models/colour/infer") -> tuple[str, float]:
    """The version that answers, and how sure it is that red is red."""
    tensor = {"name": "pixels", "shape": [1, 8, 8, 3], "datatype": "UINT8", "data": [255, 0, 0] * 64}
    answer = httpx.post(url + path, json={"inputs": [tensor]}).raise_for_status().json()
    return answer["model_version"], answer["outputs"][1]["data"][0]


def red(sharpness: float) -> float:
    return packages.probabilities(np.full((1, 8, 8, 3), (255, 0, 0)), sharpness)[0, 0]


def test_a_server_follows_a_link_and_refuses_a_bad_package(pool, tmp_path, capfd):
    link = tmp_path / "current"
    link.symlink_to(pool / "2.0")
    first, second = (digests(pool)[name][:12] for name in ("2.0", "4.0"))
    server = start(packages.Signed(link, pool / "keys" / "signing.pub", None), "--watch=0.1")

    def point_at(name: str) -> None:
        (tmp_path / "next").symlink_to(pool / name)
        (tmp_path / "next").rename(link)

    try:
        assert ask_server(server.url) == (first, pytest.approx(red(2), abs=1e-5))
        point_at("4.0")
        until(lambda: ask_server(server.url) == (second, pytest.approx(red(4), abs=1e-5)))
        before = ask_server(server.url, f"/v2/models/colour/versions/{first}/infer")
        assert before == (first, pytest.approx(red(2), abs=1e-5))
        point_at("changed")
        refused = 'bonafide_model_loads_total{model="colour",outcome="refused"} 1.0'
        metrics = until(
            lambda: (text := httpx.get(f"{server.url}/metrics").text) and refused in text and text
        )
        assert ask_server(server.url)[0] == second
        served = set(re.findall(r'bonafide_model_info\{.*version="(\w+)"\} 1\.0', metrics))
        assert served == {first, second}
    finally:
        server.process.terminate()
        server.process.wait(30)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    (told,) = [line for line in lines if line["message"] == "a package is refused"]
    assert (told["level"], told["model"]) == ("ERROR", "colour")
    assert "gate.json was changed" in told["reason"]


def test_a_server_takes_new_versions_from_a_folder(pool, tmp_path):
    place = Place(pool, tmp_path / "versions")
    place.location.mkdir()
    place.put("2.0", "9")
    server = start(packages.Signed(place.location, pool / "keys" / "signing.pub", None), "--watch=0.1")
    try:
        assert ask_server(server.url)[0] == "9"
        place.put("4.0", "10")
        until(lambda: ask_server(server.url)[0] == "10")
        for version, sharpness in {"9": 2, "10": 4}.items():
            answer = ask_server(server.url, f"/v2/models/colour/versions/{version}/infer")
            assert answer == (version, pytest.approx(red(sharpness), abs=1e-5))
    finally:
        server.process.terminate()
        server.process.wait(30)


@pytest.fixture(scope="module", autouse=True)
def _pool_of_the_machine(pool, tmp_path_factory):
    Versions.pool, Versions.folders = pool, tmp_path_factory
    Versions.digests = digests(pool)


class Versions(RuleBasedStateMachine):
    """A folder of versions to which anything may happen; ``disk`` and ``served`` are what should be so."""

    pool: Path
    folders: pytest.TempPathFactory
    digests: dict[str, str]

    def __init__(self) -> None:
        super().__init__()
        self.place = Place(self.pool, self.folders.mktemp("machine") / "versions")
        self.place.location.mkdir()
        self.place.put("2.0", "1")
        self.last, self.disk = 1, {1: "2.0"}
        self.served = {1: "2.0"}
        self.unloaded = False
        self.place.start()

    def teardown(self) -> None:
        self.place.close()
        shutil.rmtree(self.place.location)

    @rule(name=st.sampled_from([*map(str, GOOD), *BAD]))
    def publish(self, name):
        self.last += 1
        self.place.put(name, str(self.last))
        self.disk[self.last] = name

    @rule(name=st.sampled_from([*map(str, GOOD), *BAD]), pick=st.randoms(use_true_random=False))
    def replace(self, name, pick):
        version = pick.choice(sorted(self.disk))
        self.place.put(name, str(version))
        self.disk[version] = name

    @precondition(lambda self: len(self.disk) > 1)
    @rule(pick=st.randoms(use_true_random=False))
    def take_away(self, pick):
        version = pick.choice(sorted(self.disk))
        shutil.rmtree(self.place.location / str(version))
        del self.disk[version]

    @rule()
    def poll(self):
        self.place.watcher.poll()
        if not self.unloaded:
            self._serve()

    @rule()
    def poll_at_rest(self):
        for _ in range(2):
            self.poll()
        refusals, loads = count("refused"), count("loaded")
        self.poll()
        assert (count("refused"), count("loaded")) == (refusals, loads)

    @rule()
    def unload(self):
        asyncio.run(self.place.watcher.unload("colour"))
        self.unloaded, self.served = True, {}

    @rule()
    def load(self):
        self.unloaded = False
        newest = max(self.disk)
        try:
            asyncio.run(self.place.watcher.load("colour"))
            assert self.disk[newest] in self.digests
        except RequestError:
            assert self.disk[newest] in BAD
        self._serve()

    def _serve(self):
        """A version has its content if that is good, else what it had; the two newest are served."""
        now = {}
        for version in sorted(self.disk, reverse=True):
            content = self.disk[version]
            name = content if content in self.digests else self.served.get(version)
            if name and len(now) < 2:
                now[version] = name
        for version, name in self.served.items():
            if len(now) < 2:
                now.setdefault(version, name)
        self.served = now

    @invariant()
    def what_should_be_served_is(self):
        found = self.place.models.versions("colour")
        assert found == tuple(map(str, self.served))
        for version in found:
            predictor = self.place.models.find("colour", version)
            assert predictor.info.model_digest == self.digests[self.served[int(version)]]

    @invariant()
    def something_is_served_unless_unloaded(self):
        assert bool(self.served) == bool(self.place.models.find("colour"))
        assert self.place.models.ready == bool(self.served)


TestVersions = Versions.TestCase
TestVersions.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
