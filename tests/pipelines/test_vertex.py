"""The runner's whole story against a server that parses each request into the vendor's own types."""

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from bonafide.errors import DeliveryError
from pipelines import engines
from pipelines.runners import engine as following
from pipelines.runners import vertex
from pipelines.runners.engine import follow
from pipelines.runners.vertex import VertexEngine
from tests.buckets import gs
from tests.pipelines import vertex_server
from tests.pipelines.conftest import followed
from tests.pipelines.test_engines import ENGINES

__all__ = ["gs"]

BUCKET = "my-project-pipelines"


@pytest.fixture
def bucket(gs, monkeypatch):
    """The bucket of runs, at the stand-in of Cloud Storage.

    Whose it is, Vertex AI's client would ask Google itself, for a minute where there is no network.
    """
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage
    from google.cloud.aiplatform.utils import resource_manager_utils

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{gs}")
    runs = storage.Client("my-project", AnonymousCredentials()).bucket(BUCKET)
    if not runs.exists():
        runs.create()
    monkeypatch.setattr(resource_manager_utils, "get_project_number", lambda *_: runs.project_number)


@pytest.fixture
def server(bucket, monkeypatch):
    monkeypatch.setattr(following, "POLL_SECONDS", 0.01)
    with vertex_server.served() as running:
        yield running


@pytest.fixture
def settings(server):
    return engines.load(ENGINES / "vertex.example.yaml").model_copy(update={"endpoint": server.url})


@pytest.fixture
def engine(settings):
    return VertexEngine(settings)


def test_what_the_client_prints_for_notebooks_is_kept_back(engine, given, caplog):
    caplog.set_level(logging.INFO)
    engine.cancel(engine.submit("training", given).id)
    engine.runs(1)
    assert [record.message for record in caplog.records if record.name.startswith("google")] == []


def test_two_who_ask_at_once_leave_other_logs_alone(settings):
    first, second = (vertex._answering(settings) for _ in range(2))
    with first, second:
        assert logging.getLogger("bonafide").isEnabledFor(logging.WARNING)
    first, second = (vertex._answering(settings) for _ in range(2))
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    second.__exit__(None, None, None)
    assert logging.root.manager.disable == 0


def test_a_run_is_submitted_followed_and_seen_finished(engine, server, given, settings):
    run = engine.submit("training", given)
    assert run.state == "PENDING"
    assert run.link.endswith(f"/runs/{run.id}?project=my-project")
    (job,) = server.jobs.values()
    assert job.service_account == settings.service_account
    assert job.runtime_config.gcs_output_directory == settings.bucket
    assert job.runtime_config.parameter_values["name"] == "authenticity"

    told = followed(
        engine,
        server,
        run,
        ("run", "RUNNING"),
        ("champion", "SUCCEEDED"),
        ("ingest", "SKIPPED"),
        ("train", "RUNNING"),
        ("train", "RUNNING"),
        ("train", "SUCCEEDED"),
    )
    assert told == [
        ("champion", "SUCCESS", False),
        ("ingest", "SUCCESS", True),
        ("train", "RUNNING", False),
        ("train", "SUCCESS", False),
    ]
    assert [found.id for found in engine.runs(5)] == [run.id]


def test_a_run_that_fails_half_way_says_which_step_and_why(engine, server, given):
    run = engine.submit("training", given)
    server.step(run.id, "train", "FAILED", "out of memory")
    server.end(run.id, "FAILED", "train failed")
    ended = follow(engine, run.id, lambda step: None)
    assert (ended.state, ended.error) == ("FAILED", "train failed")
    (step,) = ended.steps
    assert (step.name, step.state, step.error) == ("train", "FAILURE", "out of memory")


def test_a_run_is_cancelled(engine, given):
    run = engine.submit("training", given)
    engine.cancel(run.id)
    assert engine.look(run.id).state == "CANCELLED"


def test_a_schedule_is_made_listed_paused_resumed_and_removed(engine, server, given, settings):
    made = engine.schedule("training", given, "0 2 * * *")
    assert (made.name, made.cron, made.enabled) == ("training authenticity", "0 2 * * *", True)
    (held,) = server.schedules.values()
    assert held.max_concurrent_run_count == 1
    assert held.create_pipeline_job_request.pipeline_job.service_account == settings.service_account
    assert engine.schedules() == [made]
    engine.pause(made.id)
    assert not engine.schedules()[0].enabled
    engine.resume(made.id)
    assert engine.schedules()[0].enabled
    engine.unschedule(made.id)
    assert engine.schedules() == []


def test_a_schedule_follows_the_clock_of_a_time_zone(engine, server, given):
    made = engine.schedule("training", given, "0 2 * * *", "Europe/Berlin")
    assert (made.cron, made.time_zone) == ("0 2 * * *", "Europe/Berlin")
    (held,) = server.schedules.values()
    assert held.cron == "TZ=Europe/Berlin 0 2 * * *"
    with pytest.raises(DeliveryError, match=r"400.*TZ=Europe/Bern-lin 0 2"):
        engine.schedule("training", given, "0 2 * * *", "Europe/Bern-lin")


def test_two_submits_at_once_are_two_runs(engine, server, given):
    """Each is a whole run; the second promotion is refused as stale, as the delivery's tests show."""
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(lambda version: engine.submit("training", given), range(2))
    assert first.id != second.id
    assert len(server.jobs) == 2


def test_an_image_that_is_not_there_is_told_by_the_step(engine, server, given):
    run = engine.submit("training", given)
    server.step(run.id, "champion", "FAILED", "Failed to pull image: not found")
    server.end(run.id, "FAILED")
    (step,) = engine.look(run.id).steps
    assert (step.state, step.error) == ("FAILURE", "Failed to pull image: not found")


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda engine: engine.look("nothing"), "404.*nothing not found"),
        (lambda engine: engine.submit("training", {"nme": "x"}), "nme"),
    ],
)
def test_what_the_service_refuses_is_told_in_its_words(engine, settings, ask, said):
    with pytest.raises(
        DeliveryError, match=f"Vertex AI at {settings.endpoint}, project my-project: .*{said}"
    ):
        ask(engine)


def test_a_quota_that_is_used_up_is_told(engine, server, given):
    server.quota = 0
    with pytest.raises(DeliveryError, match=r"429.*quota of concurrent pipeline jobs exceeded"):
        engine.submit("training", given)


def test_a_right_that_is_missing_is_told(engine, server, given):
    server.failing = 1
    with pytest.raises(DeliveryError, match=r"403.*does not have permission"):
        engine.runs(1)


def test_without_credentials_it_is_said_where_to_get_them(settings, monkeypatch, tmp_path):
    from google.cloud.aiplatform import initializer

    monkeypatch.setattr(initializer.global_config, "_credentials", None)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(DeliveryError, match="gcloud auth application-default login"):
        VertexEngine(settings.model_copy(update={"endpoint": "https://127.0.0.1:9"})).runs(1)


def test_a_bucket_that_is_not_there_is_not_made(settings, given):
    misspelt = settings.model_copy(update={"bucket": "gs://my-projekt-pipelines/runs"})
    with pytest.raises(DeliveryError, match="bucket my-projekt-pipelines is not there; make it, or correct"):
        VertexEngine(misspelt).submit("training", given)


def test_steps_that_a_refused_gate_keeps_back_are_not_shown(engine, server, given):
    run = engine.submit("training", given)
    server.step(run.id, "gate", "SUCCEEDED")
    server.step(run.id, "export", "NOT_TRIGGERED")
    assert [step.name for step in engine.look(run.id).steps] == ["gate"]
