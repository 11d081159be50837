import pytest

from bonafide.addresses import fixed_part, is_loopback


@pytest.mark.parametrize(
    ("pattern", "fixed"), [("/a/b/*.png", "/a/b"), ("*.png", ""), ("bucket/p?/x", "bucket"), ("/*", "")]
)
def test_the_fixed_part_of_a_glob(pattern, fixed):
    assert fixed_part(pattern) == fixed


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.2", "::1"])
def test_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1.example.org", "example.org", "", None])
def test_other_machines(host):
    assert not is_loopback(host)
