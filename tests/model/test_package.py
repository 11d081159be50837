import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bonafide.errors import PackageError
from bonafide.files import sha256
from bonafide.model import package, signing
from tests import packages


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    return packages.make(tmp_path_factory.mktemp("signed"))


@pytest.fixture
def copy(signed, tmp_path):
    return Path(shutil.copytree(signed.path, tmp_path / "moved", symlinks=True))


def resign(folder: Path, signed) -> None:
    """What a holder of the key could do: new sums and a new signature over whatever is there."""
    files = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("SHA256SUMS", "signature")
    )
    (folder / "SHA256SUMS").write_text("".join(f"{sha256(folder / name)}  {name}\n" for name in files))
    (folder / "signature").unlink()
    signing.sign(folder, signed.public_key.with_suffix(".pem"), folder / "signature")


def test_build_then_verify_gives_the_same_info(signed):
    info = package.verify(signed.path, signed.public_key)
    assert info == signed.info
    assert info.model_digest == sha256(signed.path / "model.onnx")
    assert info.labels == packages.LABELS


def test_a_moved_package_still_verifies(copy, signed):
    assert package.verify(copy, signed.public_key) == signed.info


def test_sha256sum_accepts_the_sums(signed):
    result = subprocess.run(
        ["sha256sum", "-c", "--strict", "SHA256SUMS"], cwd=signed.path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert set(result.stdout.splitlines()) == {
        f"{name}: OK" for name in ("MODEL_CARD.md", "gate.json", "model.onnx", "package.json")
    }


@pytest.mark.parametrize(
    "name", ["model.onnx", "package.json", "gate.json", "MODEL_CARD.md", "signature", "SHA256SUMS"]
)
def test_a_missing_file_is_named(copy, signed, name):
    (copy / name).unlink()
    with pytest.raises(PackageError, match=rf"{name} is missing"):
        package.verify(copy, signed.public_key)


@pytest.mark.parametrize("name", ["extra.txt", ".gitignore", "deep/extra.txt", ".hidden"])
def test_an_extra_file_is_named(copy, signed, name):
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_text("*")
    with pytest.raises(PackageError, match=rf"{name} does not belong"):
        package.verify(copy, signed.public_key)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_of_what_is_signed_is_refused(signed, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("changed") / "package"
    shutil.copytree(signed.path, folder)
    path = folder / data.draw(st.sampled_from(["model.onnx", "package.json", "gate.json", "SHA256SUMS"]))
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with pytest.raises(PackageError) as refusal:
        package.verify(folder, signed.public_key)
    if path.name != "SHA256SUMS":
        assert f"{path} was changed" in str(refusal.value)


def test_sums_made_again_over_a_change_fail_on_the_signature(copy, signed):
    (copy / "gate.json").write_text('{"promote": true}')
    sums = (copy / "SHA256SUMS").read_text().splitlines()
    sums = [f"{sha256(copy / 'gate.json')}  gate.json" if "gate.json" in line else line for line in sums]
    (copy / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    with pytest.raises(PackageError, match=r"gate\.json"):
        package.verify(copy, signed.public_key)


def test_a_foreign_key_is_refused(signed, tmp_path):
    stranger = signing.ensure_key(tmp_path)
    with pytest.raises(PackageError, match="the signature does not hold"):
        package.verify(signed.path, stranger.public)


@pytest.mark.parametrize("name", ["model.onnx", "SHA256SUMS", "signature"])
def test_a_link_is_refused_even_to_the_same_content(copy, signed, name):
    (copy / name).unlink()
    (copy / name).symlink_to(signed.path / name)
    with pytest.raises(PackageError, match=f"{name} is (missing or )?a link"):
        package.verify(copy, signed.public_key)


def test_a_linked_folder_inside_is_refused(copy, signed, tmp_path):
    (copy / "more").symlink_to(tmp_path)
    with pytest.raises(PackageError, match="more is a link"):
        package.verify(copy, signed.public_key)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", "./model.onnx", "a//b"])
def test_sums_may_not_name_a_path_outside(copy, signed, name):
    with (copy / "SHA256SUMS").open("a") as sums:
        sums.write(f"{'0' * 64}  {name}\n")
    with pytest.raises(PackageError, match="SHA256SUMS, line 5"):
        package.verify(copy, signed.public_key)


@pytest.mark.parametrize("content", ["", "nonsense\n", "\0\xff"])
def test_broken_sums_are_refused(copy, signed, content):
    (copy / "SHA256SUMS").write_text(content)
    with pytest.raises(PackageError):
        package.verify(copy, signed.public_key)


@pytest.mark.parametrize("content", ["", "{}", "[]", "no json", '{"verificationMaterial": {}}'])
def test_a_broken_signature_is_refused(copy, signed, content):
    (copy / "signature").write_text(content)
    with pytest.raises(PackageError, match="the signature does not hold"):
        package.verify(copy, signed.public_key)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 1}, "format version 1, this Bonafide reads 2"),
        ({"format_version": None}, "format version None"),
        ({"lables": ["a"]}, "unknown key 'lables'; did you mean 'labels'"),
        ({"temperature": 0}, "temperature"),
        ({"decision": {"thresholds": {"purple": 0.5}}}, "purple"),
        ({"model_digest": "0" * 64}, "is not the model that package.json names"),
    ],
)
def test_a_signed_package_with_unusable_info_is_refused(copy, signed, change, message):
    content = json.loads((copy / "package.json").read_text())
    (copy / "package.json").write_text(json.dumps(content | change))
    resign(copy, signed)
    with pytest.raises(PackageError, match=message):
        package.verify(copy, signed.public_key)


def test_a_file_or_nothing_in_place_of_a_package_is_refused(signed, tmp_path):
    for path in (tmp_path / "absent", signed.path / "model.onnx"):
        with pytest.raises(PackageError, match="is no model package"):
            package.verify(path, signed.public_key)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "needs model.onnx"),
        ({"gate.json": b""}, "needs model.onnx"),
        ({"model.onnx": b"x", "package.json": b"{}"}, "package.json is written by the package itself"),
        ({"model.onnx": b"x", "signature": b""}, "signature is written by the package itself"),
        ({"model.onnx": b"x", "../escape": b""}, "no name inside a package"),
        ({"model.onnx": b"x", "/absolute": b""}, "no name inside a package"),
        ({"model.onnx": b"x", "two\nlines": b""}, "no name inside a package"),
        ({"model.onnx": Path("/nowhere/model.onnx")}, "is no file"),
    ],
)
def test_build_refuses_and_leaves_nothing(tmp_path, files, message):
    key = signing.ensure_key(tmp_path / "keys").private
    with pytest.raises(PackageError, match=message):
        package.build(tmp_path / "out" / "package", packages.info(), files, key)
    assert not list(tmp_path.glob("out/*"))


def test_build_without_a_key_leaves_the_old_package(signed, copy):
    with pytest.raises(PackageError, match="cannot sign"):
        package.build(copy, signed.info, {"model.onnx": b"new"}, copy.parent / "no.pem")
    assert package.verify(copy, signed.public_key) == signed.info


def test_nested_files_and_paths_are_packed(tmp_path):
    keys = signing.ensure_key(tmp_path / "keys")
    (tmp_path / "source.onnx").write_bytes(packages.graph())
    files = {"model.onnx": tmp_path / "source.onnx", "reports/gate.html": b"<html>"}
    built = package.build(tmp_path / "package", packages.info(), files, keys.private)
    assert package.verify(tmp_path / "package", keys.public) == built
    assert (tmp_path / "package" / "reports" / "gate.html").read_bytes() == b"<html>"
