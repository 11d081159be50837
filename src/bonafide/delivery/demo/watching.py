"""Prometheus and Alertmanager with the rules and ways of ``infra/monitoring``, on free ports."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import yaml

from bonafide.delivery.demo.processes import free_port, program, ready
from bonafide.errors import ConfigError
from bonafide.files import write_text

SCRAPE = "2s"
HOOK, JOBS = "training", ("service-api", "alertmanager")


def programs() -> tuple[str, str]:
    """Prometheus and Alertmanager.

    Raises:
        ConfigError: one is not installed.
    """
    return program("prometheus"), program("prometheus-alertmanager", "alertmanager")


@contextmanager
def watching(folder: Path, api: str, token: Path) -> Iterator[str]:
    """Read the service API's metrics, and send what the rules say to its web hook.

    Yields:
        the address of Prometheus.

    Raises:
        BonafideError: one does not start, or this is no checkout.
    """
    prometheus, alertmanager = programs()
    source = _monitoring()
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    own = [f"--storage.path={folder / 'alertmanager'}", "--cluster.listen-address="]
    hooked = _hooked(source / "alerts", f"{api}/hooks/alertmanager", token)
    alerts = _written(folder / "alertmanager.yml", hooked)
    scrapes = _written(folder / "prometheus.yml", _scraping(source, api, addresses[1]))
    with (
        ready(
            [alertmanager, f"--config.file={alerts}", f"--web.listen-address={addresses[1]}", *own],
            folder / "alertmanager.log",
            f"http://{addresses[1]}/-/ready",
        ),
        ready(
            [
                prometheus,
                f"--config.file={scrapes}",
                f"--web.listen-address={addresses[0]}",
                f"--storage.tsdb.path={folder / 'prometheus'}",
            ],
            folder / "prometheus.log",
            f"http://{addresses[0]}/-/ready",
        ),
    ):
        yield f"http://{addresses[0]}"


def alerts(prometheus: str) -> dict[str, str]:
    """The state of each alert that is pending or firing, by name."""
    found = httpx.get(f"{prometheus}/api/v1/alerts", timeout=5).json()["data"]["alerts"]
    return {alert["labels"]["alertname"]: alert["state"] for alert in found}


def _monitoring() -> Path:
    found = Path(str(resources.files("bonafide"))).parents[1] / "infra" / "monitoring"
    if not found.is_dir():
        raise ConfigError("the rules are not there; run this in a checkout of the project: make demo-loop")
    return found


def _scraping(source: Path, api: str, alertmanager: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((source / "laptop" / "prometheus.yml").read_text())
    content["global"] = {"scrape_interval": SCRAPE, "evaluation_interval": SCRAPE}
    content["rule_files"] = [str(source / "alerts" / "rules.yml")]
    content["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager]}]}]
    content["scrape_configs"] = [job for job in content["scrape_configs"] if job["job_name"] in JOBS]
    targets = dict(zip(JOBS, (api.removeprefix("http://"), alertmanager), strict=True))
    for job in content["scrape_configs"]:
        job["static_configs"][0]["targets"] = [targets[job["job_name"]]]
    return content


def _hooked(source: Path, url: str, token: Path) -> dict[str, Any]:
    """Only the web hook tells somebody: nobody reads mail or a chat here."""
    content: dict[str, Any] = yaml.safe_load((source / "alertmanager.yml").read_text())
    del content["global"]
    [hook] = [each for each in content["receivers"] if each["name"] == HOOK]
    content["receivers"] = [hook if each is hook else {"name": each["name"]} for each in content["receivers"]]
    hook["webhook_configs"][0] |= {
        "url": url,
        "http_config": {"authorization": {"credentials_file": str(token)}},
    }
    return content


def _written(path: Path, content: dict[str, Any]) -> Path:
    write_text(path, yaml.safe_dump(content, sort_keys=False))
    return path
