import pytest
from starlette.testclient import TestClient

from bonafide.data.looks import looks
from bonafide.feedback.spool import Spool
from bonafide.feedback.writer import Writer
from bonafide.serving.collect.app import create_app


@pytest.fixture
def collector(store, tmp_path):
    with TestClient(create_app(Writer(store, Spool(tmp_path / "spool"), looks))) as client:
        yield client
