"""Packages as images in a real container registry, read by tools that are not ours."""

import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from bonafide.errors import DeliveryError
from bonafide.files import folder_digest, sha256
from bonafide.registry import oci
from tests.container_registry import PASSWORD, behind_password, behind_tokens, log_in, running

WRONG = "bm86bm8="
NOBODY = f"sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    with running(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
def repository(opened, tmp_path):
    """One that nobody used before."""
    return f"{opened.place}/{tmp_path.name.replace('_', '-').lower()}/pets"


@pytest.fixture(autouse=True)
def docker(tmp_path, monkeypatch):
    """The folder of what this machine is logged in to: nothing."""
    folder = tmp_path / "docker"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    return folder


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "package"
    (folder / "inner").mkdir(parents=True)
    (folder / "package.json").write_text("{}")
    (folder / "inner" / "model.onnx").write_bytes(os.urandom(3 * 2**20))
    return folder


def image(opened, address):
    """The manifest that the registry keeps, and the files of its config and its layer."""
    manifest = json.loads(opened.stored(address.rpartition("@")[2]).read_bytes())
    parts = (manifest["config"], *manifest["layers"])
    return manifest, *(opened.stored(part["digest"]) for part in parts)


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_the_image_is_what_kubernetes_mounts(opened, repository, package):
    address = oci.push(package, repository)
    manifest, config, layer = image(opened, address)
    assert address == f"{repository}@sha256:{sha256(opened.stored(address.rpartition('@')[2]))}"
    assert manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert json.loads(config.read_bytes()) == {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(layer)}"]},
    }
    with tarfile.open(layer, "r:") as tar:
        members = tar.getmembers()
    assert [(member.name, oct(member.mode), member.isdir()) for member in members] == [
        ("models", "0o755", True),
        ("models/inner", "0o755", True),
        ("models/inner/model.onnx", "0o644", False),
        ("models/package.json", "0o644", False),
    ]
    assert {(each.mtime, each.uid, each.gid, each.uname) for each in members} == {(0, 0, 0, "")}


def test_the_same_files_are_the_same_image_whatever_their_times_and_modes(repository, package, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("package.json", "inner/model.onnx"):
        (copy / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(package / name, copy / name)
        os.utime(copy / name, (1, 1))
        (copy / name).chmod(0o600)
    assert oci.push(copy, repository) == oci.push(package, repository)
    (copy / "package.json").write_text("{ }")
    assert oci.push(copy, repository) != oci.push(package, repository)


def test_pushing_again_changes_nothing(opened, repository, package):
    address = oci.push(package, repository)
    before = files(opened.root)
    assert oci.push(package, repository) == address
    assert files(opened.root) == before


def test_a_tag_that_was_removed_is_put_back(opened, repository, package):
    address = oci.push(package, repository)
    name = repository.split("/", 3)[3]
    tag = opened.root / "docker/registry/v2/repositories" / name / "_manifests/tags" / folder_digest(package)
    shutil.rmtree(tag)
    assert oci.push(package, repository) == address
    assert (tag / "current/link").read_text() == address.rpartition("@")[2]


@pytest.mark.parametrize("puts", [0, 1, 2])
def test_a_push_that_was_cut_off_is_finished(repository, package, tmp_path, monkeypatch, puts):
    """Config, layer, manifest, in this order; what arrived is not sent again."""
    real, sent = oci._ask, []

    def cut_off(client, url, method="GET", **more):
        if method == "PUT":
            if len(sent) == puts:
                raise KeyboardInterrupt
            sent.append(url)
        return real(client, url, method, **more)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(oci, "_ask", cut_off)
        oci.push(package, repository)
    monkeypatch.setattr(oci, "_ask", cut_off)
    puts = 3
    oci.pull(oci.push(package, repository), tmp_path / "pulled")
    assert len(sent) == 3
    assert folder_digest(tmp_path / "pulled") == folder_digest(package)


def test_tools_that_are_not_ours_read_the_package(repository, package, tmp_path):
    for tool in ("skopeo", "umoci"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    address = oci.push(package, repository)
    there, layout = address.replace("oci://", "docker://"), tmp_path / "layout"

    def ask(*command) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    inspected = json.loads(ask("skopeo", "inspect", "--tls-verify=false", there))
    assert inspected["Digest"] == address.rpartition("@")[2]
    assert inspected["RepoTags"] == [folder_digest(package)]
    assert (inspected["Architecture"], inspected["Os"]) == ("amd64", "linux")
    ask("skopeo", "copy", "--src-tls-verify=false", there, f"oci:{layout}:package")
    ask("umoci", "unpack", "--rootless", "--image", f"{layout}:package", tmp_path / "bundle")
    root = tmp_path / "bundle" / "rootfs"
    assert [path.name for path in root.iterdir()] == ["models"]
    assert folder_digest(root / "models") == folder_digest(package)


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("change", [lambda old: old[:-1] + b" ", lambda old: old + b" " * 2**20])
def test_other_bytes_are_neither_overwritten_nor_taken(opened, repository, package, tmp_path, part, change):
    address = oci.push(package, repository)
    manifest = opened.stored(address.rpartition("@")[2])
    stored = (manifest, *image(opened, address)[1:])[part]
    other = change(stored.read_bytes())
    stored.write_bytes(other)
    with pytest.raises(DeliveryError, match="holds other bytes"):
        oci.pull(address, tmp_path / "pulled")
    assert not (tmp_path / "pulled").exists()
    with pytest.raises(DeliveryError, match="holds other bytes"):
        oci.push(package, repository)
    assert stored.read_bytes() == other


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type = kind
    for field, value in fields.items():
        setattr(found, field, value)
    return found


@pytest.mark.parametrize(
    "hostile",
    [
        member("models/../../outside"),
        member("../outside"),
        member("/outside"),
        member("outside"),
        member("models"),
        member("models/link", tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("models/link", tarfile.LNKTYPE, linkname="models/package.json"),
        member("models/device", tarfile.CHRTYPE),
        member("models/pipe", tarfile.FIFOTYPE),
        member("models/holes", pax_headers={"GNU.sparse.map": "0,0", "GNU.sparse.size": str(2**50)}),
        member("models/zero\0byte", pax_headers={"path": "models/zero\0byte"}),
    ],
    ids=lambda found: found.name,
)
@pytest.mark.parametrize("filters", [True, False], ids=["filters", "an older Python"])
def test_a_layer_that_is_no_package_writes_nothing_else(tmp_path, monkeypatch, hostile, filters):
    if not filters:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    layer, folder = tmp_path / "layer.tar", tmp_path / "inner" / "folder"
    folder.mkdir(parents=True)
    with tarfile.open(layer, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(hostile, io.BytesIO())
    monkeypatch.setattr(oci, "_read", lambda *_: layer)
    with pytest.raises(DeliveryError, match="is no image of a package"):
        oci.pull("oci://example.org/pets@sha256:…", folder)
    assert set(files(tmp_path)) == {layer, tmp_path / "docker" / "config.json"}


@pytest.mark.parametrize("content", [b"", b"no tar at all", b"\0" * 511])
def test_a_layer_that_is_no_archive(tmp_path, monkeypatch, content):
    (tmp_path / "layer.tar").write_bytes(content)
    monkeypatch.setattr(oci, "_read", lambda *_: tmp_path / "layer.tar")
    with pytest.raises(DeliveryError, match="is no image of a package"):
        oci.pull("oci://example.org/pets@sha256:…", tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"layers": []},
        {"layers": [{"digest": NOBODY, "size": 2**40}]},
        {"layers": [{"digest": "sha256:../../../etc/passwd", "size": 1}]},
        {"config": None},
    ],
)
def test_an_image_of_another_kind(opened, repository, package, tmp_path, change):
    address = oci.push(package, repository)
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(image(opened, address)[0] | change))
    digest = f"sha256:{sha256(manifest)}"
    stored = opened.stored(digest)
    stored.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(manifest, stored)
    revisions = opened.root / "docker/registry/v2/repositories" / repository.split("/", 3)[3]
    link = revisions / "_manifests/revisions/sha256" / digest.removeprefix("sha256:") / "link"
    link.parent.mkdir(parents=True)
    link.write_text(digest)
    with pytest.raises(DeliveryError, match="is no image of a package"):
        oci.pull(f"{repository}@{digest}", tmp_path / "pulled")


def test_what_is_not_there_or_names_no_digest(repository, package, tmp_path):
    oci.push(package, repository)
    with pytest.raises(DeliveryError, match="with 404 Not Found"):
        oci.pull(f"{repository}@{NOBODY}", tmp_path)
    for address in (f"{repository}:latest", repository, f"{repository}@sha256:../../x"):
        with pytest.raises(DeliveryError, match="names no digest, so it can change"):
            oci.pull(address, tmp_path)


def test_a_registry_that_is_away(package):
    with pytest.raises(DeliveryError, match=r"registry 127\.0\.0\.1:9 does not answer: .*refused"):
        oci.push(package, "oci://127.0.0.1:9/pets")


def test_plain_http_is_spoken_with_this_machine_only(opened, package):
    elsewhere = opened.place.replace("127.0.0.1", "0.0.0.0")
    with pytest.raises(DeliveryError, match=r"the container registry 0\.0\.0\.0:\d+ does not answer: .*SSL"):
        oci.push(package, f"{elsewhere}/pets")


def test_a_password_is_docker_s(tmp_path, docker, package):
    (tmp_path / "locked").mkdir()
    with running(tmp_path / "locked", **behind_password(tmp_path / "locked")) as registry:
        refused = "with 401 Unauthorized; log in as for Docker"
        with pytest.raises(DeliveryError, match=refused):
            oci.push(package, registry.place)
        log_in(docker, registry.host)
        address = oci.push(package, registry.place)
        oci.pull(address, tmp_path / "pulled")
        assert folder_digest(tmp_path / "pulled") == folder_digest(package)
        oci.check(registry.place)
        refusals = [line for line in registry.log.read_text().splitlines() if '" 401 ' in line]
        assert any("PUT /v2/team/models/manifests/" in line for line in refusals)
        assert not any("PUT /v2/team/models/blobs/" in line for line in refusals), "layers are sent once"
        log_in(docker, registry.host, WRONG)
        with pytest.raises(DeliveryError, match=refused):
            oci.pull(address, tmp_path / "pulled")
        (docker / "config.json").write_text(f'{{"auths": "{PASSWORD}"')
        with pytest.raises(DeliveryError, match="log in as for Docker") as told:
            oci.check(registry.place)
        assert PASSWORD not in str(told.value)


def test_docker_s_folder_takes_the_place_of_the_one_at_home(tmp_path, docker, package):
    (tmp_path / "locked").mkdir()
    with running(tmp_path / "locked", **behind_password(tmp_path / "locked")) as registry:
        (tmp_path / "nobody").mkdir()
        log_in(tmp_path / "nobody" / ".docker", registry.host, WRONG)
        log_in(docker, registry.host)
        for _ in range(5):
            oci.check(registry.place)


def test_a_login_goes_to_the_registry_only(repository):
    with oci._asking(repository) as (client, _):
        for elsewhere in ("http://elsewhere.example/v2/", f"https://{client.hostname}/v2/"):
            with pytest.raises(DeliveryError, match="sends us to http"):
                client.do_request(elsewhere, "PUT")


def test_docker_s_own_place_is_read_without_being_told(tmp_path, monkeypatch, package):
    monkeypatch.delenv("DOCKER_CONFIG")
    (tmp_path / "nobody").mkdir()
    (tmp_path / "locked").mkdir()
    with running(tmp_path / "locked", **behind_password(tmp_path / "locked")) as registry:
        log_in(tmp_path / "nobody" / ".docker", registry.host)
        assert oci.push(package, registry.place)


def test_tokens_are_asked_for_what_is_done(tmp_path, docker, package):
    """One for reading does not write, so another is asked for."""
    (tmp_path / "locked").mkdir()
    with (
        behind_tokens(tmp_path / "locked") as (settings, asked),
        running(tmp_path / "locked", **settings) as registry,
    ):
        for auth in (None, WRONG):
            log_in(docker, registry.host, auth)
            with pytest.raises(DeliveryError, match=r"refuses: .*; log in as for Docker"):
                oci.push(package, registry.place)
        asked.clear()
        log_in(docker, registry.host)
        address = oci.push(package, registry.place)
        rights = [set(scope.removeprefix("repository:team/models:").split(",")) for scope in asked]
        assert rights == [{"pull"}, {"pull", "push"}, {"pull"}]
        oci.pull(address, tmp_path / "pulled")
        assert folder_digest(tmp_path / "pulled") == folder_digest(package)
        oci.check(registry.place)


def test_a_check_leaves_one_small_image_and_no_upload(opened, repository):
    def left() -> set[Path]:
        """Without the sums that this registry keeps of uploads that were given up."""
        return {path for path in files(opened.root) if "hashstates" not in path.parts}

    oci.check(repository)
    once = left()
    oci.check(repository)
    assert left() == once
    own = Path(repository.split("/", 3)[3])
    assert not [path for path in once if path.match(f"*/{own}/_uploads/*/*")]


def test_a_registry_that_may_only_be_read(tmp_path):
    storage = {"filesystem": {"rootdirectory": str(tmp_path / "only" / "root")}}
    storage["maintenance"] = {"readonly": {"enabled": True}}
    (tmp_path / "only").mkdir()
    with (
        running(tmp_path / "only", storage=storage) as registry,
        pytest.raises(DeliveryError, match=r"answers POST .* with 405"),
    ):
        oci.check(registry.place)
