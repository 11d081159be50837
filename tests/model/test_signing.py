import stat
import subprocess
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from bonafide.errors import PackageError
from bonafide.model import signing


def make_and_read(folder: Path) -> tuple[bytes, bytes]:
    keys = signing.ensure_key(folder)
    return keys.private.read_bytes(), keys.public.read_bytes()


@pytest.fixture
def content(tmp_path):
    folder = tmp_path / "content"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "inner" / "b.txt").write_text("b")
    return folder


def test_the_key_is_made_once_and_private(tmp_path):
    first = make_and_read(tmp_path / "keys")
    assert make_and_read(tmp_path / "keys") == first
    assert stat.S_IMODE((tmp_path / "keys" / "signing.pem").stat().st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["signing.pem", "signing.pub"]


def test_processes_that_start_at_once_share_one_key(tmp_path):
    with ProcessPoolExecutor(4, mp_context=get_context("fork")) as pool:
        pairs = set(pool.map(make_and_read, [tmp_path / "keys"] * 16))
    assert len(pairs) == 1
    assert len(list((tmp_path / "keys").iterdir())) == 2


def test_a_killed_first_run_is_mended(tmp_path):
    keys = signing.ensure_key(tmp_path)
    public = keys.public.read_bytes()
    keys.public.unlink()
    assert signing.ensure_key(tmp_path).public.read_bytes() == public


def test_a_lost_private_key_does_not_silently_replace_the_trusted_one(tmp_path):
    keys = signing.ensure_key(tmp_path)
    keys.private.unlink()
    with pytest.raises(PackageError, match=r"signing\.pem is missing"):
        signing.ensure_key(tmp_path)


def test_a_pair_that_does_not_match_is_refused(tmp_path):
    keys, other = signing.ensure_key(tmp_path / "a"), signing.ensure_key(tmp_path / "b")
    keys.public.write_bytes(other.public.read_bytes())
    with pytest.raises(PackageError, match="does not belong to"):
        signing.ensure_key(tmp_path / "a")


def test_a_damaged_private_key_is_refused(tmp_path):
    (tmp_path / "signing.pem").write_text("-----BEGIN PRIVATE KEY-----\nnothing\n")
    with pytest.raises(PackageError, match="cannot read the private key"):
        signing.ensure_key(tmp_path)


def test_what_was_signed_holds_also_elsewhere(tmp_path, content):
    keys = signing.ensure_key(tmp_path / "keys")
    signing.sign(content, keys.private, content / "signature")
    moved = content.rename(tmp_path / "moved")
    signing.check(moved, moved / "signature", keys.public)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "a.txt").write_text("A"),
        lambda folder: (folder / "a.txt").unlink(),
        lambda folder: (folder / "inner" / "b.txt").rename(folder / "inner" / "c.txt"),
        lambda folder: (folder / ".gitattributes").write_text("*"),
        lambda folder: (folder / "signature").unlink(),
        lambda folder: (folder / "signature").write_bytes(b"\xff"),
    ],
)
def test_damage_is_refused(tmp_path, content, damage):
    keys = signing.ensure_key(tmp_path / "keys")
    signing.sign(content, keys.private, content / "signature")
    damage(content)
    with pytest.raises(PackageError, match="the signature does not hold"):
        signing.check(content, content / "signature", keys.public)


@pytest.mark.parametrize("text", [None, "", "no key"])
def test_an_unusable_public_key_is_told(tmp_path, content, text):
    keys = signing.ensure_key(tmp_path / "keys")
    signing.sign(content, keys.private, content / "signature")
    public = tmp_path / "given.pub"
    if text is not None:
        public.write_text(text)
    with pytest.raises(PackageError, match=r"cannot read the public key .*given\.pub"):
        signing.check(content, content / "signature", public)


def test_paths_may_be_relative(tmp_path, content, monkeypatch):
    keys = signing.ensure_key(tmp_path / "keys")
    monkeypatch.chdir(tmp_path)
    folder = content.relative_to(tmp_path)
    signing.sign(folder, keys.private, folder / "signature")
    signing.check(folder, folder / "signature", keys.public)
    signing.check(content, content / "signature", keys.public)


def test_each_public_key_in_a_folder_is_trusted(content, tmp_path):
    old = signing.ensure_key(tmp_path / "keys")
    signing.sign(content, old.private, content / "signature")
    old.private.unlink()
    with pytest.raises(PackageError, match="rename the public key"):
        signing.ensure_key(tmp_path / "keys")
    kept = old.public.rename(tmp_path / "keys" / "old.pub")
    new = signing.ensure_key(tmp_path / "keys")
    signing.check(content, content / "signature", tmp_path / "keys")
    with pytest.raises(PackageError, match="does not hold"):
        signing.check(content, content / "signature", new.public)
    kept.unlink()
    with pytest.raises(PackageError, match="does not hold"):
        signing.check(content, content / "signature", tmp_path / "keys")
    new.public.unlink()
    with pytest.raises(PackageError, match="holds no public key"):
        signing.check(content, content / "signature", tmp_path / "keys")


class TestHardwareToken:
    """SoftHSM stands for a hardware module: the key is used through PKCS #11 and never leaves it."""

    MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so")

    @pytest.fixture
    def token(self, tmp_path, monkeypatch):
        pytest.importorskip("PyKCS11")
        module = next((path for path in self.MODULES if Path(path).exists()), None)
        if module is None:
            pytest.skip("softhsm2 is not there")
        keys = signing.ensure_key(tmp_path / "keys")
        (tmp_path / "tokens").mkdir()
        (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
        monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
        for arguments in (
            ("--init-token", "--free", "--label", "bonafide", "--so-pin", "1234", "--pin", "1234"),
            (
                "--import",
                str(keys.private),
                "--token",
                "bonafide",
                "--label",
                "signing",
                "--id",
                "01",
                "--pin",
                "1234",
            ),
        ):
            subprocess.run(["softhsm2-util", *arguments], check=True, capture_output=True)
        return f"pkcs11:token=bonafide;object=signing?module-path={module}&pin-value=1234", keys.public

    def test_what_it_signs_is_verified_with_the_public_key(self, token, content):
        uri, public = token
        signing.sign(content, uri, content / "signature")
        signing.check(content, content / "signature", public)
        (content / "a.txt").write_text("other")
        with pytest.raises(PackageError, match="does not hold"):
            signing.check(content, content / "signature", public)

    @pytest.mark.parametrize(
        "change", [("1234", "9876"), ("object=signing", "object=none"), ("so&", "missing.so&")]
    )
    def test_one_that_refuses_is_told_without_the_pin(self, token, content, change):
        uri, _ = token
        with pytest.raises(PackageError, match="cannot sign with pkcs11:token=bonafide") as refused:
            signing.sign(content, uri.replace(*change), content / "signature")
        assert "9876" not in str(refused.value) and "1234" not in str(refused.value)
