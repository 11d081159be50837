import contextlib

import pytest
from starlette.testclient import TestClient

from bonafide.serving.api.app import create_app
from bonafide.serving.api.settings import Settings
from bonafide.serving.api.upstream import Local
from bonafide.serving.compute.scheduler import Capacity, Scheduler
from bonafide.serving.models.predictor import Predictor
from bonafide.serving.models.versions import Models
from tests import packages

RED = packages.image((220, 10, 10), 40)
BLUE = packages.image((10, 10, 220), 40, "JPEG")


@pytest.fixture
def local(engine):
    """The predictor in this process; whoever closes it ends its threads."""

    def make(queue=64):
        scheduler = Scheduler(Capacity(threads=1, queue=queue))
        predictor = Predictor(engine, scheduler, "7")
        predictor.load()
        models = Models()
        models.add(predictor)
        return Local(models, scheduler)

    return make


@pytest.fixture
def serve(local):
    """A client of the whole application, by its settings."""
    with contextlib.ExitStack() as stack:

        def make(upstream=None, client=("192.0.2.1", 1), **settings):
            app = create_app(upstream or local(), Settings(**settings), packages.TOPIC)
            return stack.enter_context(TestClient(app, raise_server_exceptions=False, client=client))

        yield make


@pytest.fixture
def client(serve):
    return serve()


def problem(response, status):
    """The problem that a response holds, checked for what all problems have."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["instance"] == response.request.url.path
    assert body["title"]
    assert body["detail"]
    return body
