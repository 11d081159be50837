"""Every alert reaches those whom it concerns: a real Alertmanager, and receivers on this machine."""

import email
import json
import queue
import re
import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import uvicorn
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from bonafide.queue import Queue
from bonafide.serving.api.schemas import Notification
from tests import http_server
from tests.packages import TOPIC

MONITORING = Path(__file__).parents[2] / "infra" / "monitoring"
CONFIGURATION = MONITORING / "alerts" / "alertmanager.yml"
GROUPS = yaml.safe_load((MONITORING / "alerts" / "rules.yml").read_text())["groups"]
RULES = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
SECRETS = "/etc/alertmanager/secrets/alert-receivers"
HOOK = "http://service-api.bonafide-dev.svc"
PASSWORD, TOKEN = "mail-password", "h" * 32
PATIENCE_SECONDS = 60
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH")
PET = {"namespace": "bonafide-prod", "inferenceservice": "pets"}
TASK = {"namespace": "bonafide-prod", "task": "authenticity"}


def program(name: str) -> str:
    if found := shutil.which(name):
        return found
    pytest.skip("prometheus-alertmanager is not installed")


class Mails:
    """What arrives, for whom, and by which login."""

    def __init__(self) -> None:
        self.got: queue.Queue = queue.Queue()
        self.logins: list[tuple[bytes, bytes]] = []

    def login(self, _server, _session, _envelope, _mechanism, data) -> AuthResult:
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == PASSWORD.encode())

    async def handle_DATA(self, _server, _session, envelope) -> str:  # noqa: N802  (aiosmtpd's name)
        self.got.put((envelope.rcpt_tos, email.message_from_bytes(envelope.content)))
        return "250 OK"


class Receivers:
    """Where the four kinds of messages arrive."""

    def __init__(self, url: str, mails: Mails, chat: queue.Queue, hook: queue.Queue) -> None:
        self.url, self.mails, self.chat, self.hook = url, mails, chat, hook

    def send(self, name: str, *, over: bool = False, **labels: str) -> None:
        """As Prometheus does when a rule fires, or no longer does."""
        rule = RULES[name]
        ends = datetime.now(UTC) + timedelta(hours=-1 if over else 1)
        alert = {
            "labels": {"alertname": name, **rule["labels"], **labels},
            "annotations": {"summary": f"{name} it is.", "runbook_url": rule["annotations"]["runbook_url"]},
            "endsAt": ends.isoformat(),
        }
        if over:
            alert["startsAt"] = (ends - timedelta(hours=1)).isoformat()
        httpx.post(f"{self.url}/api/v2/alerts", json=[alert]).raise_for_status()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@contextmanager
def listening():
    """An address, and the requests that it gets."""
    got: queue.Queue = queue.Queue()

    class Handler(http_server.Handler):
        def answer(self):
            got.put((self.path, dict(self.headers), json.loads(self.body())))
            self.reply(200, {"Content-Type": "text/plain"}, b"ok")

    with http_server.serving(Handler) as url:
        yield url, got


@contextmanager
def alertmanager(folder: Path, **places: str):
    """The delivered configuration, with places of this machine, and without patience."""
    text = (
        CONFIGURATION.read_text()
        .replace(SECRETS, str(folder))
        .replace("require_tls: true", "require_tls: false")
    )
    text = text.replace("smtp.example.org:587", places["mail"]).replace(HOOK, places["hook"])
    text = re.sub(r"group_wait: \w+", "group_wait: 50ms", text)
    text = re.sub(r"group_interval: \w+", "group_interval: 200ms", text)
    (folder / "alertmanager.yml").write_text(text)
    for name, secret in (("smtp-password", PASSWORD), ("chat-url", places["chat"]), ("hook-token", TOKEN)):
        (folder / name).write_text(secret)
    address = f"127.0.0.1:{free_port()}"
    command = [
        program("prometheus-alertmanager"),
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/data",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log)
    try:
        until(lambda: httpx.get(f"http://{address}/-/ready").is_success)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def until(condition, seconds: float = PATIENCE_SECONDS) -> None:
    patience = time.monotonic() + seconds
    while True:
        with suppress(httpx.HTTPError):
            if condition():
                return
        assert time.monotonic() < patience
        time.sleep(0.05)


def next_of(arrived: queue.Queue):
    return arrived.get(timeout=PATIENCE_SECONDS)


@pytest.fixture
def receivers(tmp_path):
    mails = Mails()
    controller = Controller(
        mails,
        "127.0.0.1",
        free_port(),
        authenticator=mails.login,
        auth_required=True,
        auth_require_tls=False,
        auth_exclude_mechanism=["LOGIN"],  # whose questions Alertmanager knows by other words
    )
    with listening() as (chat, chats), listening() as (hook, hooks):
        controller.start()
        try:
            places = {"mail": f"127.0.0.1:{controller.port}", "chat": f"{chat}/services/T0/B0", "hook": hook}
            with alertmanager(tmp_path, **places) as url:
                yield Receivers(url, mails, chats, hooks)
        finally:
            controller.stop()


def test_amtool_takes_the_configuration():
    told = subprocess.run([program("amtool"), "check-config", CONFIGURATION], capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "3 inhibit rules" in told.stdout
    assert "3 receivers" in told.stdout


@pytest.mark.parametrize("name", RULES)
def test_every_alert_has_those_whom_it_concerns(name):
    labels = {"alertname": name, **RULES[name]["labels"]}
    command = [program("amtool"), "config", "routes", "test", f"--config.file={CONFIGURATION}"]
    told = subprocess.run(
        [*command, *(f"{k}={v}" for k, v in labels.items())], capture_output=True, text=True
    )
    expected = ["training"] if "bonafide_action" in labels else []
    expected += ["mail"] if labels["severity"] == "critical" else []
    assert told.stdout.strip().split(",") == [*expected, "chat"]


def test_what_is_critical_goes_by_mail_and_into_the_chat(receivers):
    receivers.send("NoPredictor", **PET)
    to, mail = next_of(receivers.mails.got)
    assert receivers.mails.logins == [(b"bonafide@example.org", PASSWORD.encode())]
    assert to == ["oncall@example.org"]
    assert mail["subject"] == "NoPredictor bonafide-prod"
    [part] = [part for part in mail.walk() if part.get_content_type() == "text/plain"]
    text = part.get_payload(decode=True).decode()
    assert "NoPredictor it is." in text
    assert RULES["NoPredictor"]["annotations"]["runbook_url"] in text
    assert "inferenceservice: pets" in text
    path, _, message = next_of(receivers.chat)
    assert (path, message["channel"]) == ("/services/T0/B0", "#bonafide")
    [attachment] = message["attachments"]
    assert attachment["title"] == "NoPredictor bonafide-prod"
    assert attachment["title_link"] == RULES["NoPredictor"]["annotations"]["runbook_url"]
    assert attachment["text"].startswith("NoPredictor it is.")
    assert receivers.hook.empty()


def test_what_asks_for_training_goes_to_the_hook_and_its_end_does_not(receivers):
    receivers.send("LooksDrifted", **TASK)
    path, headers, body = next_of(receivers.hook)
    assert path == "/hooks/alertmanager"
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    told = Notification.model_validate(body)
    [alert] = told.alerts
    assert (told.receiver, alert.status) == ("training", "firing")
    assert alert.labels == {
        "alertname": "LooksDrifted",
        "severity": "warning",
        "bonafide_action": "retrain",
        **TASK,
    }
    assert next_of(receivers.chat)[2]["attachments"][0]["title"] == "LooksDrifted bonafide-prod"
    receivers.send("LooksDrifted", over=True, **TASK)
    assert next_of(receivers.chat)[2]["attachments"][0]["title"] == "Over: LooksDrifted bonafide-prod"
    assert receivers.hook.empty()
    assert receivers.mails.got.empty()


def test_what_follows_from_another_alert_is_not_told_beside_it(receivers):
    receivers.send("NoPredictor", **PET)
    next_of(receivers.chat)
    receivers.send("PredictorDown", **PET, instance="a")
    receivers.send("PredictorDown", **PET | {"inferenceservice": "cars"}, instance="b")
    attachment = next_of(receivers.chat)[2]["attachments"][0]
    assert attachment["title"] == "PredictorDown bonafide-prod"
    assert attachment["text"].count("PredictorDown it is.") == 1


@contextmanager
def service(monkeypatch):
    """The service API, and the tasks whose workers it would have started."""
    from bonafide.serving.api.app import create_app
    from bonafide.serving.api.settings import Settings
    from bonafide.serving.client import Client

    woken: list[str] = []
    monkeypatch.setattr(Queue, "wake", lambda _, task: woken.append(task))
    settings = Settings(secret="s" * 32, issuer="me", audience="us", hook_token=TOKEN)
    port = free_port()
    app = create_app(Client("http://127.0.0.1:1", "authenticity"), settings, TOPIC, engine="")
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield port, woken
    finally:
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)


def starting(port: int) -> dict[str, str]:
    """Places of an Alertmanager of which only the web hook is there."""
    return {"mail": "127.0.0.1:1", "chat": "http://127.0.0.1:1", "hook": f"http://127.0.0.1:{port}"}


def test_the_service_starts_one_run_for_an_alert_that_is_sent_again_and_again(tmp_path, monkeypatch):
    """Alertmanager and the service API as they are; only the worker is not started."""
    with service(monkeypatch) as (port, woken), alertmanager(tmp_path, **starting(port)) as url:
        sender = Receivers(url, Mails(), queue.Queue(), queue.Queue())
        sender.send("LooksDrifted", **TASK)
        until(lambda: Queue().newest("monitoring", 10))
        sender.send("QualityFell", **TASK)
        until(lambda: counted(port, "busy"))
    [run] = Queue().newest("monitoring", 10)
    told = (run.alert, run.task, run.subject, woken)
    assert told == ("LooksDrifted", "authenticity", "alertmanager", ["authenticity"])


@pytest.mark.e2e
def test_drift_that_prometheus_reads_starts_a_run(tmp_path, monkeypatch):
    """Prometheus with the laptop's configuration and the rules, Alertmanager, the service API."""

    class Exporter(http_server.Handler):
        def answer(self):
            text = 'bonafide_drift_detected{task="authenticity",kind="looks"} 1\n'
            text += f'bonafide_drift_checked_timestamp_seconds{{task="authenticity"}} {time.time()}\n'
            self.reply(200, {"Content-Type": "text/plain; version=0.0.4"}, text.encode())

    with (
        service(monkeypatch) as (port, woken),
        alertmanager(tmp_path, **starting(port)) as url,
        http_server.serving(Exporter) as exporter,
    ):
        text = (MONITORING / "laptop" / "prometheus.yml").read_text().replace("15s", "1s")
        text = text.replace("../alerts", str(MONITORING / "alerts"))
        places = {"127.0.0.1:8080": exporter, "127.0.0.1:9093": url, "127.0.0.1:8000": f"//127.0.0.1:{port}"}
        for place, there in places.items():
            text = text.replace(place, there.rpartition("/")[2])
        (tmp_path / "prometheus.yml").write_text(text)
        command = [program("prometheus"), f"--config.file={tmp_path}/prometheus.yml"]
        command += [
            f"--storage.tsdb.path={tmp_path}/samples",
            f"--web.listen-address=127.0.0.1:{free_port()}",
        ]
        with (tmp_path / "prometheus.log").open("w") as log:
            process = subprocess.Popen(command, stderr=log)
        try:
            until(lambda: Queue().newest("monitoring", 10), 4 * PATIENCE_SECONDS)
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)
    [run] = Queue().newest("monitoring", 10)
    assert (run.alert, run.task, woken) == ("LooksDrifted", "authenticity", ["authenticity"])


def counted(port: int, outcome: str) -> bool:
    lines = httpx.get(f"http://127.0.0.1:{port}/metrics").text.splitlines()
    [line] = [line for line in lines if line.startswith(f'bonafide_hook_alerts_total{{outcome="{outcome}"}}')]
    return float(line.split()[-1]) > 0
