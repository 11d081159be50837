"""The demonstration's own Prometheus and Alertmanager, started for real."""

import subprocess

import httpx
import pytest
import yaml

from bonafide.delivery.demo import watching
from bonafide.errors import ConfigError
from tests.patience import until


@pytest.fixture(autouse=True)
def installed():
    try:
        watching.programs()
    except ConfigError as error:
        pytest.skip(f"prometheus-alertmanager: {error}")


def test_they_read_the_service_and_send_to_its_web_hook(tmp_path):
    token = tmp_path / "token"
    token.write_text("secret")
    with watching.watching(tmp_path, "http://127.0.0.1:9", token) as prometheus:
        rules = httpx.get(f"{prometheus}/api/v1/rules").json()["data"]["groups"]
        assert "LooksDrifted" in {rule["name"] for group in rules for rule in group["rules"]}
        found = until(lambda: httpx.get(f"{prometheus}/api/v1/targets").json()["data"]["activeTargets"])
        assert {target["labels"]["job"] for target in found} == {"service-api", "alertmanager"}
        assert "http://127.0.0.1:9/metrics" in {target["scrapeUrl"] for target in found}
        known = httpx.get(f"{prometheus}/api/v1/alertmanagers").json()["data"]["activeAlertmanagers"]
        assert len(known) == 1
        assert "LooksDrifted" not in watching.alerts(prometheus)
    subprocess.run(["amtool", "check-config", tmp_path / "alertmanager.yml"], check=True, capture_output=True)
    content = yaml.safe_load((tmp_path / "alertmanager.yml").read_text())
    told = {each["name"]: {key for key in each if key != "name"} for each in content["receivers"]}
    assert told == {"chat": set(), "mail": set(), "training": {"webhook_configs"}}
    [hook] = [each for each in content["receivers"] if each["name"] == "training"]
    assert hook["webhook_configs"][0]["url"] == "http://127.0.0.1:9/hooks/alertmanager"
