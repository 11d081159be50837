"""The runner's whole story against a server that holds each request against the client's models."""

import json
from threading import Event

import pytest

from bonafide.errors import ConfigError, DeliveryError
from pipelines import engines
from pipelines.runners import engine as following
from pipelines.runners import kubeflow as runner
from pipelines.runners.engine import follow
from pipelines.runners.kubeflow import KubeflowEngine
from tests.http_server import Handler, serving
from tests.pipelines import kfp_server
from tests.pipelines.conftest import followed
from tests.pipelines.kfp_server import hold
from tests.pipelines.test_engines import ENGINES


@pytest.fixture
def settings(kubeflow):
    return engines.load(ENGINES / "kubeflow.example.yaml").model_copy(update={"host": kubeflow.url})


@pytest.fixture
def engine(settings):
    return KubeflowEngine(settings)


def test_a_run_is_submitted_followed_and_seen_finished(engine, kubeflow, given, settings):
    run = engine.submit("training", given)
    assert (run.state, run.link) == ("PENDING", f"{settings.link}/#/runs/details/{run.id}")
    (_, experiment), (_, body) = kubeflow.bodies
    assert experiment == {"display_name": "training", "namespace": "bonafide-dev"}
    assert body["service_account"] == "pipelines"
    assert body["runtime_config"]["parameters"]["name"] == "authenticity"
    assert set(body["pipeline_spec"]) == {"pipeline_spec", "platform_spec"}

    told = followed(
        engine,
        kubeflow,
        run,
        ("training-driver", "SUCCEEDED"),
        ("champion", "RUNNING"),
        ("champion", "SUCCEEDED"),
        ("ingest", "SKIPPED"),
        ("train", "RUNNING"),
        ("train", "RUNNING"),
        ("train", "SUCCEEDED"),
    )
    assert told == [
        ("champion", "RUNNING", False),
        ("champion", "SUCCESS", False),
        ("ingest", "SUCCESS", True),
        ("train", "RUNNING", False),
        ("train", "SUCCESS", False),
    ]
    assert [found.id for found in engine.runs(5)] == [run.id]


def test_a_run_that_fails_half_way_says_which_step_and_why(engine, kubeflow, given):
    run = engine.submit("training", given)
    kubeflow.step(run.id, "train", "FAILED", "out of memory")
    kubeflow.end(run.id, "FAILED", "train failed")
    ended = follow(engine, run.id, lambda step: None)
    assert (ended.state, ended.error) == ("FAILED", "train failed")
    (step,) = ended.steps
    assert (step.name, step.state, step.error) == ("train", "FAILURE", "out of memory")


def test_a_run_is_cancelled(engine, given):
    run = engine.submit("training", given)
    engine.cancel(run.id)
    assert engine.look(run.id).state == "CANCELLED"


def test_a_schedule_is_made_listed_paused_resumed_and_removed(engine, kubeflow, given):
    made = engine.schedule("training", given, "0 2 * * *")
    assert (made.name, made.cron, made.enabled) == ("training authenticity", "0 2 * * *", True)
    _, body = kubeflow.bodies[-1]
    assert (body["max_concurrency"], body["no_catchup"]) == (1, True)
    assert body["trigger"] == {"cron_schedule": {"cron": "0 0 2 * * *"}}
    assert engine.schedules() == [made]
    engine.pause(made.id)
    assert not engine.schedules()[0].enabled
    engine.resume(made.id)
    assert engine.schedules()[0].enabled
    engine.unschedule(made.id)
    assert engine.schedules() == []


def test_a_schedule_takes_no_time_zone(engine, kubeflow, given):
    with pytest.raises(ConfigError, match="takes no time zone; give times by its server's clock"):
        engine.schedule("training", given, "0 2 * * *", "Europe/Berlin")
    assert not kubeflow.schedules


def test_an_image_that_is_not_there_is_told_by_the_step(engine, kubeflow, given):
    run = engine.submit("training", given)
    kubeflow.step(run.id, "champion", "FAILED", "ImagePullBackOff")
    kubeflow.end(run.id, "FAILED")
    (step,) = engine.look(run.id).steps
    assert (step.state, step.error) == ("FAILURE", "ImagePullBackOff")


def test_a_quota_that_is_used_up_is_told(engine, kubeflow, given):
    kubeflow.quota = 0
    with pytest.raises(DeliveryError, match="429 quota of runs exceeded"):
        engine.submit("training", given)
    kubeflow.quota = 1
    engine.submit("training", given)
    assert len(kubeflow.runs) == 1


def test_two_runs_share_the_experiment_of_their_pipeline(engine, kubeflow, given):
    first, second = engine.submit("training", given), engine.submit("training", given)
    assert first.id != second.id
    assert len(kubeflow.experiments) == 1
    assert [run.id for run in engine.runs(1)] == [second.id]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda engine: engine.look("nothing"), "404 run nothing not found"),
        (lambda engine: engine.submit("training", {"nme": "x"}), r"400 unknown parameters \['nme'\]"),
    ],
)
def test_what_the_server_refuses_is_told_in_its_words(engine, settings, ask, said):
    with pytest.raises(DeliveryError, match=f"Kubeflow Pipelines at {settings.host}: {said}"):
        ask(engine)


def test_a_token_that_expired_says_where_to_give_another(settings, monkeypatch, given):
    monkeypatch.setenv("BONAFIDE_KUBEFLOW_TOKEN", "of-yesterday")
    with pytest.raises(
        DeliveryError, match=r"401 Unauthenticated; give a token .* \$BONAFIDE_KUBEFLOW_TOKEN"
    ) as told:
        KubeflowEngine(settings).submit("training", given)
    assert "of-yesterday" not in str(told.value)


class Silent(Handler):
    """A server that hangs until the test is over, and notes what it was asked."""

    asked: list[str] = []
    over = Event()

    def answer(self) -> None:
        self.asked.append(self.path)
        self.over.wait(10)


@pytest.mark.parametrize("namespace", ["bonafide-dev", "kubeflow"])
def test_a_server_that_hangs_is_given_up_and_asked_for_runs_only(settings, monkeypatch, namespace):
    """KFP's client takes one name for no namespace, and would ask for another while it is made."""
    monkeypatch.setattr(runner, "TIMEOUT_SECONDS", (5, 0.2))
    monkeypatch.setattr(Silent, "over", Event())
    monkeypatch.setattr(Silent, "asked", [])
    with serving(Silent) as url:
        try:
            engine = KubeflowEngine(settings.model_copy(update={"host": url, "namespace": namespace}))
            with pytest.raises(DeliveryError, match=r"does not answer: .*timed out"):
                engine.look("x")
        finally:
            Silent.over.set()
    assert set(Silent.asked) == {"/apis/v2beta1/runs/x"}


class LoginPage(Handler):
    """What a proxy answers to whoever is not logged in."""

    def answer(self) -> None:
        self.reply(200, {"Content-Type": "text/html"}, b"<html>log in</html>")


def test_a_page_is_not_taken_for_a_run(settings):
    with serving(LoginPage) as url:
        engine = KubeflowEngine(settings.model_copy(update={"host": url}))
        for ask in (lambda: engine.look("x"), lambda: engine.cancel("x"), lambda: engine.runs(1)):
            with pytest.raises(DeliveryError, match="answers with text/html: log in, or name the API itself"):
                ask()


def test_a_server_that_is_away_is_told(settings, given, monkeypatch):
    away = settings.model_copy(update={"host": "http://127.0.0.1:9"})
    with pytest.raises(DeliveryError, match=r"Kubeflow Pipelines at http://127.0.0.1:9 does not answer"):
        KubeflowEngine(away).submit("training", given)


def test_the_stand_in_refuses_what_the_models_do_not_know():
    hold({"display_name": "x", "runtime_config": {"parameters": {"a": 1}}}, "V2beta1Run", "run")
    for broken in ({"displayname": "x"}, {"display_name": {}}, {"runtime_config": {"params": {}}}):
        with pytest.raises(kfp_server.RefusedError):
            hold(broken, "V2beta1Run", "run")


def test_every_body_holds_the_published_swagger(engine, kubeflow, given):
    """Where the file is at hand; it is not part of the project."""
    from pathlib import Path

    import jsonschema

    path = Path(__file__).parents[3] / "shared" / "engines" / "kfp_api.swagger.json"
    if not path.exists():
        pytest.skip("no swagger file beside the project")
    engine.submit("training", given)
    engine.schedule("training", given, "0 2 * * *")
    kinds = {"experiments": "v2beta1Experiment", "runs": "v2beta1Run", "recurringruns": "v2beta1RecurringRun"}
    document = strict(json.loads(path.read_text()))
    for address, body in kubeflow.bodies:
        kind = kinds[address.rpartition("/")[2]]
        jsonschema.validate(body, {"$ref": f"#/definitions/{kind}", "definitions": document["definitions"]})


def strict(node):
    """No unknown fields; int64 may be a number."""
    if isinstance(node, list):
        return [strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    if node.get("format") == "int64":
        return {}
    changed = {name: strict(value) for name, value in node.items()}
    if "properties" in node and "additionalProperties" not in node:
        changed["additionalProperties"] = False
    return changed


def test_a_source_whose_content_is_not_known_is_read_anew(engine, kubeflow, given):
    """The engine's cache knows a step by its inputs only, and a schedule's never change."""
    folder = {"kind": "folder", "path": "/data/cifake", "digest": ""}
    unknown = given | {"sources": [*given["sources"], folder]}
    engine.submit("training", given)
    engine.submit("training", unknown)
    engine.submit("training", given | {"sources": [folder | {"digest": "1"}]})
    engine.schedule("training", given, "0 2 * * *")

    def cached(body):
        components = body["pipeline_spec"]["pipeline_spec"]["components"]
        return "enableCache" in components["comp-exit-handler-1"]["dag"]["tasks"]["ingest"]["cachingOptions"]

    sent = [body for path, body in kubeflow.bodies if "runs" in path]
    assert [cached(body) for body in sent] == [True, False, True, False]


def test_an_engine_that_is_away_for_a_moment_is_asked_again(engine, kubeflow, given):
    run = engine.submit("training", given)
    kubeflow.end(run.id, "SUCCEEDED")
    kubeflow.failing = following.PATIENCE - 1
    assert follow(engine, run.id, lambda step: None).state == "SUCCEEDED"
    kubeflow.failing = following.PATIENCE
    with pytest.raises(DeliveryError, match="503 the database is away"):
        follow(engine, run.id, lambda step: None)


def test_steps_that_have_not_begun_are_not_shown(engine, kubeflow, given):
    run = engine.submit("training", given)
    kubeflow.step(run.id, "champion", "SUCCEEDED")
    kubeflow.step(run.id, "export", "RUNTIME_STATE_UNSPECIFIED")
    assert [step.name for step in engine.look(run.id).steps] == ["champion"]
