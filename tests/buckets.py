"""Servers that speak S3 and Google Cloud Storage."""

import socket

import pytest


@pytest.fixture(scope="session")
def s3():
    server = pytest.importorskip("moto.server").ThreadedMotoServer(
        ip_address="127.0.0.1", port=0, verbose=False
    )
    server.start()
    yield "{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(scope="session")
def gs():
    create = pytest.importorskip("gcp_storage_emulator.server").create_server
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = create("127.0.0.1", port, in_memory=True)
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop()


@pytest.fixture(params=["s3", "gs"])
def scheme(request, monkeypatch):
    """Clients of either ask the server of the tests."""
    address = request.getfixturevalue(request.param)
    settings = {
        "AWS_ENDPOINT_URL": f"http://{address}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "STORAGE_EMULATOR_HOST": f"http://{address}",
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # asks another interface, which the emulator lacks
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return request.param
