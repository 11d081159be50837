"""Argo CD applies what `bonafide` commits to the delivery repository, and may do nothing more."""

import json
import re
import shutil
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from bonafide.delivery.checkout import BRANCH, checkout
from bonafide.delivery.repository import Promotion, promote

FOLDER = Path(__file__).parents[2] / "argocd"
PROJECT = yaml.safe_load((FOLDER / "project.yaml").read_text())
SET = yaml.safe_load((FOLDER / "applicationset.yaml").read_text())
(GENERATOR,) = [generator["git"] for generator in SET["spec"]["generators"]]
ENVIRONMENTS = ("dev", "staging", "prod")


PLATFORM = {item["kind"]: item for item in yaml.safe_load_all((FOLDER / "platform.yaml").read_text())}


@pytest.fixture
def delivery(tmp_path) -> Path:
    """A delivery repository with one task in service everywhere."""
    promotion = Promotion("authenticity", "3", "s3://models/3", "r", "d", "d", "p", "0.1.0", "passed")
    with checkout(str(tmp_path)) as delivery:
        for environment in ENVIRONMENTS:
            promote(delivery, environment, promotion)
    return tmp_path


def folders(repository: Path) -> list[str]:
    """What the generator finds."""
    every = [path.relative_to(repository).as_posix() for path in repository.rglob("*") if path.is_dir()]
    patterns = [entry["path"] for entry in GENERATOR["directories"]]
    same_depth = [(path, pattern) for path in every for pattern in patterns if depth(path) == depth(pattern)]
    return sorted(path for path, pattern in same_depth if fnmatch(path, pattern))


def depth(path: str) -> int:
    return path.count("/")


def application(path: str) -> dict:
    """The template filled in for a folder; only the two expressions that it uses are known here."""

    def fill(match: re.Match) -> str:
        expression = match[1].strip()
        if expression == ".path.path":
            return path
        index = re.fullmatch(r"index \.path\.segments (\d)", expression)
        assert index, expression
        return path.split("/")[int(index[1])]

    text = yaml.safe_dump(SET["spec"]["template"], width=1000)
    return yaml.safe_load(re.sub(r"\{\{(.*?)\}\}", fill, text))


def test_there_is_an_application_for_every_promotion_and_no_other(delivery):
    found = [application(path)["metadata"]["name"] for path in folders(delivery)]
    assert found == [f"authenticity-{environment}" for environment in sorted(ENVIRONMENTS)]


def test_an_application_builds_its_folder_into_its_namespace(delivery):
    for path in folders(delivery):
        spec = application(path)["spec"]
        kustomization = yaml.safe_load((delivery / path / "kustomization.yaml").read_text())
        assert spec["source"]["path"] == path
        assert spec["destination"]["namespace"] == kustomization["namespace"]


def test_the_project_lets_every_application_through(delivery):
    allowed = [(entry["server"], entry["namespace"]) for entry in PROJECT["spec"]["destinations"]]
    for path in folders(delivery):
        spec = application(path)["spec"]
        assert spec["project"] == PROJECT["metadata"]["name"]
        assert [spec["source"]["repoURL"]] == PROJECT["spec"]["sourceRepos"]
        assert (spec["destination"]["server"], spec["destination"]["namespace"]) in allowed


def test_the_project_allows_the_delivered_kinds_and_no_other(delivery, kustomize):
    kinds = {
        (item["apiVersion"].split("/")[0], item["kind"])
        for path in folders(delivery)
        for item in kustomize(delivery / path)
    }
    listed = PROJECT["spec"]["namespaceResourceWhitelist"]
    assert kinds == {(entry["group"], entry["kind"]) for entry in listed}
    assert PROJECT["spec"]["clusterResourceWhitelist"] == []


def test_the_project_has_no_wildcard():
    assert "*" not in (FOLDER / "project.yaml").read_text()


def test_the_generator_and_the_source_read_the_branch_that_is_written():
    source = SET["spec"]["template"]["spec"]["source"]
    assert GENERATOR["repoURL"] == source["repoURL"]
    assert GENERATOR["revision"] == source["targetRevision"] == BRANCH


def test_drift_from_git_is_undone_and_deleting_the_set_stops_nothing():
    policy = SET["spec"]["template"]["spec"]["syncPolicy"]
    assert policy["automated"] == {"prune": True, "selfHeal": True}
    assert policy["retry"]["limit"] > 0
    assert SET["spec"]["syncPolicy"]["preserveResourcesOnDeletion"] is True


def test_only_the_status_is_left_to_kserve():
    (ignored,) = SET["spec"]["template"]["spec"]["ignoreDifferences"]
    assert (ignored["group"], ignored["kind"]) == ("serving.kserve.io", "InferenceService")
    assert ignored["jsonPointers"] == ["/status"]


def test_the_folder_renders_what_its_own_application_may_write(kustomize):
    project, application = PLATFORM["AppProject"]["spec"], PLATFORM["Application"]["spec"]
    allowed = {(entry["group"], entry["kind"]) for entry in project["namespaceResourceWhitelist"]}
    rendered = kustomize(FOLDER)
    assert {(item["apiVersion"].split("/")[0], item["kind"]) for item in rendered} == allowed
    assert project["clusterResourceWhitelist"] == []
    assert {item["metadata"]["namespace"] for item in rendered} == {
        entry["namespace"] for entry in project["destinations"]
    }
    assert application["project"] == PLATFORM["AppProject"]["metadata"]["name"]
    assert [application["source"]["repoURL"]] == project["sourceRepos"]
    assert (FOLDER.parent / application["source"]["path"]).samefile(FOLDER)
    assert application["destination"] in project["destinations"]
    assert "*" not in json.dumps({**project, "syncWindows": []})


def test_no_window_holds_a_rollback_back():
    assert "syncWindows" not in PROJECT["spec"]
    (window,) = PLATFORM["AppProject"]["spec"]["syncWindows"]
    assert (window["kind"], window["manualSync"]) == ("allow", True)
    assert window["applications"] == [PLATFORM["Application"]["metadata"]["name"]]
    named = {application(f"environments/{name}/authenticity")["metadata"]["name"] for name in ENVIRONMENTS}
    assert not named & set(window["applications"])


def test_what_a_commit_takes_out_is_taken_out_of_the_cluster():
    for spec in (SET["spec"]["template"]["spec"], PLATFORM["Application"]["spec"]):
        assert "ServerSideApply=true" in spec["syncPolicy"]["syncOptions"]


def test_settings_patch_an_installation(tmp_path, kubectl):
    names = ("argocd-cm", "argocd-notifications-cm")
    shutil.copytree(FOLDER / "settings", tmp_path / "settings")
    for name in names:
        installed = {"name": name, "namespace": "argocd"}
        content = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": installed, "data": {"yours": "stays"}}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
    resources = [f"{name}.yaml" for name in names]
    (tmp_path / "kustomization.yaml").write_text(
        yaml.safe_dump({"resources": resources, "components": ["settings"]})
    )
    built = {item["metadata"]["name"]: item for item in yaml.safe_load_all(kubectl("kustomize", tmp_path))}
    for name in names:
        delivered = yaml.safe_load((FOLDER / "settings" / f"{name}.yaml").read_text())
        assert built[name]["data"] == {"yours": "stays", **delivered["data"]}


def test_every_trigger_sends_a_template_that_is_there():
    data = yaml.safe_load((FOLDER / "settings/argocd-notifications-cm.yaml").read_text())["data"]
    triggers = {name: yaml.safe_load(text) for name, text in data.items() if name.startswith("trigger.")}
    assert set(triggers) == {
        f"trigger.on-{name}" for name in ("delivered", "degraded", "not-applied", "rolled-back")
    }
    sent = {template for conditions in triggers.values() for item in conditions for template in item["send"]}
    assert {f"template.{name}" for name in sent} == {name for name in data if name.startswith("template.")}
    assert all(item["oncePer"] for conditions in triggers.values() for item in conditions)
