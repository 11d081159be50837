"""``make demo-loop``: traffic changes, drift is found, an alert starts training, a canary takes over."""

import re
import secrets
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import yaml

from bonafide.delivery.checkout import checkout
from bonafide.delivery.current import in_service
from bonafide.delivery.demo import pictures
from bonafide.delivery.demo.processes import announced, bonafide, own_home, running
from bonafide.delivery.demo.run import ENVIRONMENT, ROLLOUT, watch
from bonafide.delivery.demo.watching import alerts, programs, watching
from bonafide.delivery.repository import folder_of
from bonafide.delivery.rollout.recorded import Recorded
from bonafide.delivery.rollout.replay import Replayer
from bonafide.delivery.rollout.settings import SETTINGS
from bonafide.delivery.rollout.tick import Judge
from bonafide.drift.environment import python
from bonafide.errors import BonafideError
from bonafide.feedback.inspections import Inspection, Inspections
from bonafide.feedback.reviews import Reviews
from bonafide.feedback.store import Store, opened
from bonafide.files import write_text
from bonafide.home import keys, own_store
from bonafide.queue import Queue, Run
from bonafide.serving.api.settings import Settings
from bonafide.serving.api.tokens import development_token
from bonafide.task import Task
from bonafide.traffic.endpoint import Server
from bonafide.traffic.outcome import Row
from bonafide.traffic.pictures import Pictures
from bonafide.traffic.review import Reviewer
from bonafide.traffic.simulate import Plan, simulate

RATE, SLOW, REVIEWED = 10.0, 2.0, 0.7
ROLLOUT_RATE = 25.0
WINDOW_SECONDS, LOOK_SECONDS, POLL_SECONDS = 120, 20, 2.0
MOST_LOOKS, LONGEST_SECONDS, TRAINING_SECONDS = 12, 180, 2400
ISSUER = "bonafide"  # as `bonafide api` has it
SECRET, STORE = "BONAFIDE_API_SECRET", "BONAFIDE_STORE"
LISTENS = re.compile(r" at (http://[^\s,]+)")
MIX = {"real": 0.4, "ai-generated": 0.3, "deepfake": 0.3}  # as in the sample's validation data
# Looks are at the newest minutes, so that the demonstration is one of minutes.
MONITORING = {"hours": WINDOW_SECONDS / 3600, "quality_hours": 1}

# A version that learnt something answers otherwise than the one before it, and is surer: no harm here.
WIDE = "label_points: 0.45, confidence_points: null"
JUDGED = ROLLOUT.replace("label_points: 0.25, confidence_points: 0.25", WIDE)
assert WIDE in JUDGED

Tell = Callable[[str], None]


@dataclass
class Story:
    """What happened, and when."""

    tell: Tell
    events: list[tuple[datetime, str]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    inspections: list[Inspection] = field(default_factory=list)

    def note(self, what: str, mark: str = "") -> None:
        """Tell it, and if it has a mark keep that for the picture."""
        now = datetime.now(UTC)
        if mark:
            self.events.append((now, mark))
        self.tell(f"{now:%H:%M:%S}  {what}")


@dataclass(frozen=True)
class Service:
    """What runs meanwhile: addresses, and the token of whoever asks."""

    task: Task
    folder: Path
    front: str
    api: str
    prometheus: str
    token: str


def demonstrate(task: Task, folder: Path, cache: Path, tell: Tell) -> tuple[Story, pictures.Traffic]:
    """Live through the loop once, in a state folder of its own.

    Args:
        folder: emptied first.
        cache: of the pipelines' steps, so that what `make demo` trained need not be trained again.
        tell: called with what happens.

    Raises:
        BonafideError: a program is not there or does not start, no drift is found, or training or the
            rollout ends otherwise than well.
    """
    python(), programs()
    own, secret = keys(), secrets.token_hex(32)
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tasks").mkdir(parents=True)
    cache.mkdir(parents=True, exist_ok=True)
    (folder / "cache").symlink_to(cache, target_is_directory=True)
    if own.is_dir():
        shutil.copytree(own, folder / "keys")
    story = Story(tell)
    settings = task.model_copy(update={"monitoring": task.monitoring.model_copy(update=MONITORING)})
    content = settings.model_dump(mode="json", exclude_none=True)
    write_text(folder / "tasks" / f"{task.name}.yaml", yaml.safe_dump(content, sort_keys=False))
    with own_home(folder, **{SECRET: secret, STORE: "local"}):
        story.note("version 1 is trained; what make demo trained is not trained again")
        _run(folder, "pipeline", "run", "training", "--task", task.name, tell=tell)
        story.note("images are made for the traffic, also from a generator that training never saw")
        traffic = pictures.make(folder / "images", task)
        with checkout(str(folder / "delivery")) as delivery:
            delivery.change({folder_of(ENVIRONMENT, task.name) / SETTINGS: JUDGED}, "Judge what comes")
        with _serving(settings, folder, secret) as service:
            _live(service, traffic, story)
    return story, traffic


def _live(service: Service, traffic: pictures.Traffic, story: Story) -> None:
    story.note(f"version 1 serves; {RATE:g} requests a second about images like those it knows", "known")
    with _asking(service, traffic.known, RATE, story):
        time.sleep(WINDOW_SECONDS)
        _look(service, story)
    story.note("images of a generator that training never saw; people review them", "new generator")
    with _asking(service, traffic.new, RATE, story, REVIEWED):
        _until_found(service, story)
        story.note("the alert waits for a minute", "drift is found")
        run = _until(lambda: _started(story, service), LONGEST_SECONDS, "no alert started the pipeline")
        _until(lambda: _training(run.id), LONGEST_SECONDS, "the pipeline did not begin to train")
        story.note(f"training begins: {_newest(service).why}", "training")
    with _asking(service, traffic.new, SLOW, story, REVIEWED):
        ended = _followed(run.id, story)
    if not ended.promoted:
        raise BonafideError(f"the run {ended.state}, and nothing was promoted: {ended.message}")
    with _asking(service, traffic.new, ROLLOUT_RATE, story):
        story.note("version 2 passed the gate and is a canary", "canary")
        _roll_out(service, traffic, story)
    story.note(f"version 2 serves; {RATE:g} requests a second about the same images", "version 2")
    with _asking(service, traffic.new, RATE, story):
        time.sleep(WINDOW_SECONDS)
        _look(service, story)


def _look(service: Service, story: Story) -> Inspection:
    """As cron would."""
    _run(service.folder, "pipeline", "run", "monitoring", "--task", service.task.name, "--retrain", "never")
    found = _newest(service)
    story.inspections.append(found)
    score = max(found.scores.values(), default=0)
    story.note(
        f"a look at version {found.version}: {found.kind}, {found.compared:,} inputs, "
        f"evidence {score:.2f} of {found.threshold:.2f}"
    )
    return found


def _until_found(service: Service, story: Story) -> None:
    for _ in range(MOST_LOOKS):
        time.sleep(LOOK_SECONDS)
        if _look(service, story).kind == "looks":
            return
    raise BonafideError(f"no drift was found in {MOST_LOOKS} looks; see {service.folder}")


def _started(story: Story, service: Service) -> Run | None:
    found = Queue().newest("monitoring", 1)
    if found:
        state = alerts(service.prometheus).get(found[0].alert, "over")
        story.note(f"the alert {found[0].alert} ({state}) started run {found[0].id}", "alert")
    return found[0] if found else None


def _training(run: str) -> Run | None:
    found = Queue().find(run)
    if found and found.has_ended:
        raise BonafideError(f"the run {found.state} without training: {found.message}")
    return found if found and any(step.name == "ingest" for step in found.steps) else None


def _followed(run: str, story: Story) -> Run:
    told = set[str]()

    def ended() -> Run | None:
        found = Queue().find(run)
        for step in found.steps if found else ():
            if step.state != "running" and step.name not in told:
                told.add(step.name)
                story.note(f"  {step.name}: {step.state}, {step.seconds:.0f} s")
        return found if found and found.has_ended else None

    return _until(ended, TRAINING_SECONDS, "training did not end")


def _roll_out(service: Service, traffic: pictures.Traffic, story: Story) -> None:
    task, place = service.task.name, service.folder / "delivery"
    judge = Judge(Recorded(ENVIRONMENT, task), Replayer(service.front, traffic.known))
    ended = watch(place, task, "2", judge, story.note)
    if in_service(str(place), ENVIRONMENT, task).version != "2":
        raise BonafideError(f"version 2 was not kept: {ended.decision.why}")


def _newest(service: Service) -> Inspection:
    with opened(own_store()) as store:
        return Inspections(store.database).newest(service.task.name, 1)[0]


@contextmanager
def _serving(task: Task, folder: Path, secret: str) -> Iterator[Service]:
    hook = folder / "hook-token"
    hook.touch(0o600)
    hook.write_text(secrets.token_hex(32))
    token = development_token(
        Settings(secret=secret, issuer=ISSUER, audience=ISSUER), "moderator", ("predict", "feedback"), 2
    )
    unlimited = [f"--{who}-rate=100000/minute" for who in ("subject", "address")]
    served = bonafide("deliver", "--local", "--task", task.name, "--http-port", "0", "--scrape-seconds", "1")
    with announced(served, folder / "deliver.log", LISTENS, folder) as front:
        keeps = ["--store", "local", "--store-images", str(folder / "kept")]
        runs = ["--pipelines", "local", "--hook-token-file", str(hook)]
        asked = bonafide("api", "--url", front, "--port", "0", *keeps, *runs, *unlimited)
        with (
            announced(asked, folder / "api.log", LISTENS, folder) as api,
            watching(folder, api, hook) as prometheus,
        ):
            yield Service(task, folder, front, api, prometheus, token)


@contextmanager
def _asking(service: Service, images: Path, rate: float, story: Story, reviewed: float = 0) -> Iterator[None]:
    """Traffic beside what happens meanwhile; its requests are in the story once it is over."""
    stop = threading.Event()
    server = Server(service.api, "service", token=service.token)
    store = Store(own_store())
    reviewer = Reviewer(reviewed, service.api, service.token, Reviews(store.database)) if reviewed else None
    plan = Plan(rate, LONGEST_SECONDS + TRAINING_SECONDS, len(story.rows))

    with ThreadPoolExecutor(1) as thread:
        pictured = Pictures(str(images), MIX)
        asked = thread.submit(simulate, server, pictured, plan, lambda *_: None, reviewer, stop)
        try:
            yield
        finally:
            stop.set()
            story.rows += asked.result().rows
            store.database.close()


def _run(folder: Path, *words: str, tell: Tell = lambda _: None) -> None:
    """A command; what it prints is in a log, and told."""
    log = folder / "commands.log"
    with log.open("a") as stream, running(bonafide(*words), stream, subprocess.PIPE, folder) as process:
        assert process.stdout
        for line in process.stdout:
            stream.write(line)
            tell(line.rstrip())
        if process.wait():
            raise BonafideError(f"bonafide {' '.join(words)} ended with {process.returncode}; see {log}")


def _until(look: Callable[[], Run | None], seconds: float, otherwise: str) -> Run:
    until = time.monotonic() + seconds
    while (found := look()) is None:
        if time.monotonic() > until:
            raise BonafideError(f"{otherwise} within {seconds:.0f} s")
        time.sleep(POLL_SECONDS)
    return found
