import pytest
from python_multipart.exceptions import MultipartParseError

from bonafide.serving.api import upload

HEAD = b'Content-Disposition: form-data; name="image"; filename="a"'


def form(content: bytes, boundary: bytes = b"x1") -> bytes:
    return b"\r\n".join([b"--" + boundary, HEAD, b"", content, b"--" + boundary + b"--", b""])


@pytest.mark.parametrize(
    "content", [b"", b"a", b"\r\n--x", b"\r\n--x1-", b"\r\n--x1x" * 900, bytes(range(256)) * 99]
)
def test_a_file_lies_in_one_piece_whatever_is_in_it(content):
    body = form(content)
    ((begin, end),) = upload._parts(body, b"x1", "image", 1)
    assert body[begin:end] == content


def test_a_file_full_of_what_looks_like_the_boundary_is_refused():
    body = form(b"\r\n--x1x" * 2**20)
    with pytest.raises(MultipartParseError, match="all over its files"):
        upload._parts(body, b"x1", "image", 1)
