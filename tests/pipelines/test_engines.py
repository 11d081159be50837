from pathlib import Path

import pytest
import yaml

from bonafide.errors import ConfigError
from pipelines import engines, rendering
from pipelines.compilation import PIPELINES
from pipelines.engines import KubeflowStep, load, step_of

ENGINES = Path(__file__).parents[2] / "engines"
PLACES = {
    "MLFLOW_TRACKING_URI": "https://mlflow.example",
    "BONAFIDE_DELIVERY": "ssh://git@git.example/delivery.git",
    "BONAFIDE_SIGNING_KEY": "/keys/signing.pem",
}


def own(**environment):
    """Settings of every step with these variables."""
    return {"every_step": {"environment": PLACES | environment}}


EXAMPLES = sorted(ENGINES.glob("*.example.yaml"))


@pytest.fixture
def changed(tmp_path):
    """An example with one more key, or another value."""

    def write(name: str = "kubeflow", **changes):
        content = yaml.safe_load((ENGINES / f"{name}.example.yaml").read_text()) | changes
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_an_example_renders(path, pipeline):
    settings = load(path)
    documents = rendering.render(pipeline, settings)
    executors = documents[0]["deploymentSpec"]["executors"]
    images = {name: executor["container"]["image"] for name, executor in executors.items()}
    detects = {"exec-drift-check"} & set(images)
    assert {images[name] for name in images.keys() - detects} == {settings.image}
    assert all("/drift@sha256:" in images[name] for name in detects)


def test_a_step_has_what_every_step_has_and_its_own_over_it():
    settings = load(ENGINES / "kubeflow.example.yaml")
    champion, train, validate = (step_of(settings, name) for name in ("champion", "train", "validate"))
    assert champion.environment == train.environment == settings.every_step.environment
    assert (validate.timeout_minutes, train.timeout_minutes) == (60, 720)
    assert "GIT_CONFIG_VALUE_0" in champion.secrets and not train.secrets
    own = settings.model_copy(
        update={"steps": {"train": KubeflowStep(environment={"MLFLOW_TRACKING_URI": "x"})}}
    )
    assert step_of(own, "train").environment == {
        **settings.every_step.environment,
        "MLFLOW_TRACKING_URI": "x",
    }


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("kubeflow", {"nodes": 3}, "unknown key 'nodes'"),
        ("kubeflow", {"image": "ghcr.io/bonafide/pipeline:0.1.0"}, "image"),
        ("kubeflow", {"engine": "airflow"}, "write engine: kubeflow or engine: vertex"),
        (
            "kubeflow",
            {"every_step": {"environment": {"A": "https://me:hush@git"}}},
            "no place for a user, password",
        ),
        ("vertex", own(BONAFIDE_DELIVERY="HTTPS://hush@git.example/d.git"), "no place for a user, password"),
        ("kubeflow", {"link": "http://hush@kubeflow.example"}, "no place for a user, password"),
        ("kubeflow", {"every_step": {"environment": {"a-b": "c"}}}, "environment"),
        ("kubeflow", {"every_step": {"cpu": 0}}, "greater than 0"),
        (
            "vertex",
            {"image": f"ghcr.io/bonafide/pipeline@sha256:{'0' * 64}"},
            "Artifact Registry or Docker Hub",
        ),
        ("vertex", {"bucket": "s3://bucket"}, "bucket"),
        ("kubeflow", {"every_step": {}}, "champion has no MLFLOW_TRACKING_URI; name it"),
        ("vertex", {"every_step": {}}, "champion has no MLFLOW_TRACKING_URI; name it"),
        (
            "vertex",
            own(BONAFIDE_DELIVERY="delivery"),
            "pods share no folder",
        ),
        (
            "vertex",
            own(MLFLOW_TRACKING_URI="sqlite:///x"),
            "pods share no file",
        ),
        (
            "vertex",
            own(AWS_SECRET_ACCESS_KEY="hush"),
            "looks like a secret",
        ),
        (
            "vertex",
            own(GIT_CONFIG_VALUE_0="Authorization: Basic hush"),
            "secret",
        ),
        (
            "vertex",
            own(GIT_CONFIG_VALUE_0="authorization: Basic hush"),
            "secret",
        ),
        ("kubeflow", {"host": "https://me:hush@kubeflow.example"}, "no place for a user, password"),
        ("vertex", {"image": f"registry:5000/pipeline@sha256:{'0' * 64}"}, "Artifact Registry or Docker Hub"),
        ("vertex", {"every_step": {"mounts": {}}}, "unknown key"),
        ("vertex", {"every_step": {"secrets": {"TOKEN": "hush"}}}, "secrets.TOKEN"),
        ("vertex", {"every_step": {"files": {"signing.pem": "key/versions/1"}}}, "files"),
    ],
)
def test_what_is_no_setting_is_refused(changed, name, changes, said):
    with pytest.raises(ConfigError, match=said) as refused:
        load(changed(name, **changes))
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize("engine", ["kubeflow", "vertex"])
def test_a_step_may_have_an_image_of_its_own(changed, engine):
    own = f"docker.io/team/drift@sha256:{'1' * 64}"
    settings = load(changed(engine, steps={"train": {"image": own}}))
    [document, *_] = rendering.render("training", settings)
    images = {
        name: each["container"]["image"] for name, each in document["deploymentSpec"]["executors"].items()
    }
    assert images.pop("exec-train") == own
    assert set(images.values()) == {settings.image}


def test_vertex_refuses_a_steps_image_from_elsewhere_too(changed):
    steps = {"train": {"image": f"ghcr.io/bonafide/drift@sha256:{'1' * 64}"}}
    with pytest.raises(ConfigError, match=r"not ghcr\.io"):
        load(changed("vertex", steps=steps))


@pytest.mark.parametrize("host", ["docker.io/", "", "europe-west4-docker.pkg.dev/"])
def test_vertex_takes_images_from_where_it_can(changed, host):
    image = f"{host}team/pipeline@sha256:{'0' * 64}"
    assert load(changed("vertex", image=image, every_step={"environment": PLACES})).image == image


def test_a_step_that_only_verifies_needs_no_private_key(changed):
    environment = {name: value for name, value in PLACES.items() if "KEY" not in name}
    signing = {"environment": {"BONAFIDE_SIGNING_KEY": "/keys/signing.pem"}}
    every = {"environment": environment | {"BONAFIDE_PUBLIC_KEY": "/keys/signing.pub"}}
    load(changed("vertex", every_step=every, steps={"champion": signing, "export": signing}))
    with pytest.raises(ConfigError, match="export has no BONAFIDE_SIGNING_KEY"):
        load(changed("vertex", every_step=every, steps={"champion": signing}))


def test_a_file_that_is_not_there_says_what_to_copy(tmp_path):
    with pytest.raises(ConfigError, match=r"copy engines/kubeflow.example.yaml"):
        load(tmp_path / "kubeflow.yaml")


def test_a_step_that_no_pipeline_has_is_refused(changed):
    settings = load(changed(steps={"trian": {"cpu": 2}}))
    with pytest.raises(ConfigError, match="no pipeline has a step 'trian'; did you mean 'train'"):
        rendering.render("training", settings)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_what_is_submitted_holds_the_engines_own_types(path):
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2 as pb

    specification, *platform = rendering.render("training", engines.load(path))
    json_format.ParseDict(specification, pb.PipelineSpec())
    deployment = json_format.ParseDict(specification["deploymentSpec"], pb.PipelineDeploymentConfig())
    train = deployment.executors["exec-train"].container
    assert train.resources.accelerator.count == 1
    assert train.resources.cpu_limit == train.resources.cpu_request > 0
    assert {variable.name for variable in train.env} >= {"MLFLOW_TRACKING_URI", "BONAFIDE_DELIVERY"}
    for document in platform:
        json_format.ParseDict(document, pb.PlatformSpec())
    assert len(platform) == ("kubeflow" in path.name)


def test_secrets_and_mounts_are_only_of_the_steps_that_name_them():
    _, platform = rendering.render("training", load(ENGINES / "kubeflow.example.yaml"))
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    mounted = {
        name: {volume["secretName"] for volume in found.get("secretAsVolume", [])}
        for name, found in executors.items()
    }
    assert all("verifying-key" in names for names in mounted.values())
    with_key = {name for name, names in mounted.items() if "signing-key" in names}
    variables = {
        name: {each["envVar"] for secret in found.get("secretAsEnv", []) for each in secret["keyToEnv"]}
        for name, found in executors.items()
    }
    assert with_key == {f"exec-{step}" for step in ("champion", "export")}
    assert {name: names for name, names in variables.items() if names} == {
        "exec-champion": {"GIT_CONFIG_VALUE_0"},
        "exec-promote": {"GIT_CONFIG_VALUE_0"},
        "exec-ingest": {"BONAFIDE_STORE"},
    }


def test_on_vertex_steps_that_name_secrets_fetch_them_and_then_begin():
    settings = load(ENGINES / "vertex.example.yaml")
    specification, *_ = rendering.render("training", settings)
    plain = rendering._compiled("training")["deploymentSpec"]["executors"]
    own = "projects/my-project/secrets"
    key = f"/var/lib/bonafide/signing/signing.pem={own}/signing-key/versions/1"
    public = f"/var/lib/bonafide/signing/signing.pub={own}/verifying-key/versions/1"
    token = f"GIT_CONFIG_VALUE_0={own}/delivery-token/versions/1"
    store = f"BONAFIDE_STORE={own}/store/versions/1"
    named = {"champion": [key, public, token], "export": [key, public], "promote": [public, token]}
    named["ingest"] = [public, store]
    for executor, content in specification["deploymentSpec"]["executors"].items():
        wanted = named.get(executor.removeprefix("exec-"), [public])
        begins = ["python3", "-m", "bonafide.secrets", *wanted, "--"]
        assert content["container"]["command"] == begins + plain[executor]["container"]["command"]


def test_a_secret_of_another_project_keeps_its_name_and_steps_without_secrets_their_command(changed):
    other = "projects/team/secrets/token/versions/latest"
    settings = load(changed("vertex", **own(), steps={"promote": {"secrets": {"TOKEN": other}}}))
    executors = rendering.render("training", settings)[0]["deploymentSpec"]["executors"]
    assert executors["exec-promote"]["container"]["command"][3] == f"TOKEN={other}"
    assert executors["exec-train"]["container"]["command"][0] == "sh"


def test_a_regional_secret_keeps_its_name_and_secret_manager_s_address_there_is_no_secret(changed):
    name = "projects/my-project/locations/europe-west4/secrets/token/versions/1"
    address = {"BONAFIDE_SECRET_MANAGER": "secretmanager.europe-west4.rep.googleapis.com"}
    settings = load(changed("vertex", **own(**address), steps={"promote": {"secrets": {"TOKEN": name}}}))
    executors = rendering.render("training", settings)[0]["deploymentSpec"]["executors"]
    promote = executors["exec-promote"]["container"]
    assert promote["command"][3] == f"TOKEN={name}"
    assert {"name": "BONAFIDE_SECRET_MANAGER", "value": address["BONAFIDE_SECRET_MANAGER"]} in promote["env"]


def test_retries_are_of_the_steps_and_those_of_the_pipeline_stay(changed):
    settings = load(changed(steps={"train": {"retries": 3}, "promote": {"retries": 9}}))
    specification, *_ = rendering.render("training", settings)
    components = specification["components"].values()
    tasks = {
        name: task
        for component in components
        for name, task in component.get("dag", {}).get("tasks", {}).items()
    }
    assert tasks["train"]["retryPolicy"]["maxRetryCount"] == 3
    assert tasks["ingest"]["retryPolicy"]["maxRetryCount"] == settings.every_step.retries == 1
    assert tasks["promote"]["retryPolicy"]["backoffDuration"] == "5s"


def test_what_would_be_submitted_with_the_examples_is_kept_and_fresh():
    kept = rendering.examples()
    assert len(kept) == len(EXAMPLES) * len(PIPELINES)
    for path, content in kept.items():
        assert path.read_text() == content, "run: bonafide pipeline compile"


STORE = {"BONAFIDE_STORE": "postgresql://store.example/bonafide"}


def test_without_a_store_all_but_monitoring_renders(changed):
    settings = load(changed(steps={}, **own()))
    assert not engines.has_store(settings)
    assert rendering.render("training", settings)
    with pytest.raises(ConfigError, match="monitoring reads predictions: name BONAFIDE_STORE"):
        rendering.render("monitoring", settings)


def test_the_steps_that_share_a_store_all_know_it(changed):
    image = {"image": f"ghcr.io/x/drift@sha256:{'1' * 64}"}
    steps = {"collect": {"environment": STORE}, "ingest": {"environment": STORE}, "drift-check": image}
    with pytest.raises(ConfigError, match="decide has no BONAFIDE_STORE, which other steps have"):
        load(changed(steps=steps, **own()))
    assert engines.has_store(load(changed(steps=steps | {"decide": {"environment": STORE}}, **own())))


def test_the_detectors_have_an_image_of_their_own(changed):
    with pytest.raises(ConfigError, match="drift-check needs an image of its own"):
        load(changed(steps={}, **own(**STORE)))


def test_a_store_of_monitoring_must_be_reached_by_pods(changed):
    image = {"drift-check": {"image": f"ghcr.io/x/drift@sha256:{'1' * 64}"}}
    for place in ("sqlite:///store.db", "local"):
        with pytest.raises(ConfigError, match="BONAFIDE_STORE must be a PostgreSQL; pods share no file"):
            load(changed(steps=image, **own(BONAFIDE_STORE=place)))
