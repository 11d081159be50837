"""The dashboard Feedback asks a real PostgreSQL, and says what :mod:`bonafide.feedback.figures` says."""

import json
import math
from datetime import datetime, timedelta
from statistics import median
from types import SimpleNamespace

import pytest

from bonafide.errors import BonafideError
from bonafide.feedback import reviews as module
from bonafide.feedback.database import Database
from bonafide.feedback.figures import figures
from bonafide.feedback.reviews import Reviews
from bonafide.feedback.store import Store
from infra.monitoring import grafana
from infra.monitoring.look import look
from infra.monitoring.panels.parts import POSTGRES
from infra.monitoring.sources import PostgreSql
from tests.feedback.conftest import LABELS, NOON, prediction
from tests.monitoring.test_dashboards import FOLDER

DASHBOARD = json.loads((FOLDER / "feedback.json").read_text())
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"]}
GRAPHS = sorted(title for title, panel in PANELS.items() if panel["type"] == "timeseries")
TASK, OTHER = "authenticity", "o'hara"
DAY = timedelta(days=1)
FIRST = NOON.replace(hour=0)
DAYS = [FIRST + number * DAY for number in range(3)]
END = FIRST + 30 * DAY
RIGHT = "Right, by confirmed feedback, of the predictions of a day"
REJECTED = {3: None, 7: "rejected"}  # what becomes of the words of one who is of another mind


@pytest.fixture(scope="module")
def address(postgresql):
    """Three days of predictions, one version a day, and what people said two hours later."""
    postgresql.execute("CREATE DATABASE dashboard")
    store = Store(address := postgresql.address("dashboard"))
    store.database.migrate()
    store.add([prediction(number, **which(number)) for number in range(60)])
    with pytest.MonkeyPatch.context() as patch:
        say(Reviews(store.database), patch)
    store.database.close()
    return address


def which(number: int) -> dict:
    """Twenty a day, one an hour; the last five of each day are another task's."""
    day, hour = divmod(number, 20)
    return {
        "time": DAYS[day] + timedelta(hours=hour),
        "version": str(day + 7),
        "task": OTHER if hour >= 15 else TASK,
    }


def say(reviews: Reviews, patch: pytest.MonkeyPatch) -> None:
    """Every seventh answer was wrong. Some words wait, some are rejected, and some predictions have two."""
    clock = SimpleNamespace(time=FIRST)
    patch.setattr(module, "datetime", SimpleNamespace(now=lambda _: clock.time))

    def word(number: int, label: str, reviewer: str, state: str | None, minutes: int) -> None:
        clock.time = which(number)["time"] + timedelta(hours=2)
        filed, _ = reviews.file(f"p-{number}", label, reviewer)
        clock.time += timedelta(minutes=minutes)
        if state:
            reviews.decide(filed.id, state, "berta")

    for number in range(60):
        other, truth = LABELS[(number + 1) % 3], LABELS[(number + (number % 7 == 0)) % 3]
        if number % 10 in REJECTED:
            word(number, other, "dora", REJECTED[number % 10], 30)
        word(number, truth, "anna", None if waits(number) else "confirmed", 10 + number % 7)
        if doubled(number):
            word(number, truth, "carla", "confirmed", 90)


def waits(number: int) -> bool:
    return number % 5 == 3


def doubled(number: int) -> bool:
    return number % 4 == 0 and not waits(number)


@pytest.fixture
def database(address):
    made = Database(address)
    yield made
    made.close()


@pytest.fixture
def ask(database):
    """From a panel's title to its rows, for one task and all days unless it is said otherwise."""

    def asked(title: str, start: datetime = FIRST, end: datetime = END, tasks=(TASK,)):
        (target,) = PANELS[title]["targets"]
        query = grafana.sql(target["rawSql"], {"task": tasks}, start, end)
        assert "$" not in query
        with database.reading() as connection:
            connection.exec_driver_sql("SET TIME ZONE 'UTC'")
            return [SimpleNamespace(**row) for row in connection.exec_driver_sql(query).mappings()]

    return asked


@pytest.fixture
def told(database):
    """The figures of a day, or of all."""
    return lambda start=FIRST, end=END: figures(database, TASK, LABELS[0], start, end)


@pytest.mark.parametrize("title", GRAPHS)
def test_a_graph_has_times_in_order_names_and_numbers(ask, title):
    rows = ask(title)
    times = [row.time for row in rows]
    assert times == sorted(times)
    assert {time.date() for time in times} == {day.date() for day in DAYS}
    assert all(isinstance(row.metric, str) and math.isfinite(row.value) for row in rows)


@pytest.mark.parametrize("title", PANELS)
def test_a_panel_shows_nothing_of_other_times_and_tasks(ask, title):
    assert ask(title, tasks=("none",)) == []
    if title != "Feedback that waits for review":
        assert ask(title, end=FIRST - DAY, start=FIRST - 2 * DAY) == []


def test_a_reader_chooses_among_the_tasks_that_there_are(ask, database):
    (variable,) = [each for each in DASHBOARD["templating"]["list"] if each["type"] == "query"]
    with database.reading() as connection:
        tasks = connection.exec_driver_sql(variable["query"]).scalars().all()
    assert tasks == [TASK, OTHER]
    assert sum(row.value for row in ask("Predictions in an hour", tasks=tasks)) == 60
    assert sum(row.value for row in ask("Predictions in an hour", tasks=[OTHER])) == 15


def test_counts_are_those_of_the_figures(ask, told, database):
    assert sum(row.value for row in ask("Predictions in an hour")) == told().predictions == 45
    (waiting,) = ask("Feedback that waits for review")
    assert waiting.waiting == told().waiting
    assert waiting.oldest == min(each.time for each in Reviews(database).newest(100, TASK, "new"))
    for state in ("new", "confirmed", "rejected"):
        shown = sum(row.value for row in ask("Feedback in a day") if row.metric == state)
        assert shown == len(Reviews(database).newest(100, TASK, state)) > 0


def test_a_prediction_counts_once_however_many_people_confirm_it(ask, told):
    shown = {(row.time, row.metric): float(row.value) for row in ask(RIGHT)}
    assert shown == {
        (day, str(version)): pytest.approx(told(day, day + DAY).agreement)
        for version, day in enumerate(DAYS, start=7)
    }
    assert len(set(shown.values())) > 1
    assert sum(row.inputs for row in ask("What was answered, and what it was")) == told().reviewed


@pytest.mark.parametrize("day", DAYS, ids=str)
def test_answers_and_truths_give_the_shares(ask, told, day):
    span = (day, day + DAY - timedelta(microseconds=1))  # whose end Grafana includes
    counts = {
        (row.answered, row.truth): row.inputs for row in ask("What was answered, and what it was", *span)
    }
    figures = told(day, day + DAY)
    alarms = {pair: count for pair, count in counts.items() if pair[0] != LABELS[0]}
    assert sum(alarms.values()) == figures.alarms
    false = sum(count for (_, truth), count in alarms.items() if truth == LABELS[0])
    assert false / figures.alarms == pytest.approx(figures.false_alarms)
    assert {row.metric: float(row.value) for row in ask("Rightly given, of each label", *span)} == {
        label: pytest.approx(counts.get((label, label), 0) / sum(of))
        for label in LABELS
        if (of := [count for (answered, _), count in counts.items() if answered == label])
    }


def test_reviewers_agree_where_two_say_the_same_and_nobody_was_rejected(ask):
    for day, row in zip(range(3), ask("Reviewers who agree, of the inputs that several saw"), strict=True):
        numbers = range(20 * day, 20 * day + 15)
        agree, differ = sum(map(doubled, numbers)), sum(number % 10 == 3 for number in numbers)
        assert (row.time, row.metric) == (DAYS[day], "agreement")
        assert float(row.value) == pytest.approx(agree / (agree + differ))


def test_the_time_to_review_is_the_median(ask, database):
    decided = [each for each in Reviews(database).newest(200, TASK) if each.decided]
    for day, row in zip(DAYS, ask("Time to review, half of them"), strict=True):
        seconds = [
            (each.decided - each.time).total_seconds() for each in decided if day <= each.time < day + DAY
        ]
        assert (row.time, row.metric) == (day, TASK)
        assert float(row.value) == pytest.approx(median(seconds))


def test_a_page_of_our_own_shows_every_panel(address, tmp_path):
    (path,) = look(tmp_path, {POSTGRES: PostgreSql(address, FIRST, END)}, (FIRST, END))
    assert path.name == "feedback.html"
    assert "No data" not in path.read_text()
    assert path.read_text().count("<section") == len(PANELS)


def test_sqlite_is_not_asked(tmp_path):
    with pytest.raises(BonafideError, match="asks PostgreSQL, not SQLite"):
        PostgreSql(f"sqlite:///{tmp_path}/store.db", FIRST, END)
