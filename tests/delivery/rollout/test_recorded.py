import json
import sqlite3
import threading

import numpy as np
import pytest

from bonafide.delivery.rollout.recorded import KEPT_SECONDS, Recorded
from bonafide.errors import DeliveryError

METRIC = "bonafide_requests_total"
OK, FAILED = {"outcome": "ok", "protocol": "rest"}, {"outcome": "failed", "protocol": "rest"}


@pytest.fixture
def recorded(tmp_path):
    return Recorded("dev", "pets", tmp_path / "deep" / "samples.db")


def scrape(recorded, time, ok, failed=0, pod="v1-1", metric=METRIC):
    recorded.append(pod.split("-")[0], pod, time, {metric: [(OK, ok), (FAILED, failed)]})


def values(series, labels):
    [found] = [each for each in series if each.labels == labels]
    return found.times.tolist(), found.values.tolist()


def test_what_was_scraped_is_read_back(recorded):
    for second in range(4):
        scrape(recorded, 100.0 + second, 10 * second, second)
    series = recorded.read(METRIC, 101, 102)
    assert {(each.predictor, each.pod, each.metric) for each in series} == {("v1", "v1-1", METRIC)}
    assert values(series, OK) == ([101, 102], [10, 20])
    assert values(series, FAILED) == ([101, 102], [1, 2])
    assert series[0].growth(np.array([100.5, 102.5])).tolist() == [10]


def test_services_environments_and_metrics_are_kept_apart(recorded, tmp_path):
    scrape(recorded, 100, 1)
    scrape(recorded, 100, 2, metric="bonafide_predictions_total")
    path = tmp_path / "deep" / "samples.db"
    scrape(Recorded("prod", "pets", path), 100, 3)
    scrape(Recorded("dev", "cars", path), 100, 4)
    assert values(recorded.read(METRIC, 0, 200), OK) == ([100], [1])
    assert values(Recorded("prod", "pets", path).read(METRIC, 0, 200), OK) == ([100], [3])
    assert recorded.read("another", 0, 200) == []


def test_pods_are_series_of_their_own(recorded):
    scrape(recorded, 100, 5)
    scrape(recorded, 101, 1, pod="v1-2")
    scrape(recorded, 102, 1, pod="v2-3")
    assert sorted(
        (each.predictor, each.pod) for each in recorded.read(METRIC, 0, 200) if each.labels == OK
    ) == [
        ("v1", "v1-1"),
        ("v1", "v1-2"),
        ("v2", "v2-3"),
    ]


def test_a_series_goes_on_where_another_joins_its_metric(recorded):
    scrape(recorded, 100, 1)
    late = {"outcome": "refused", "protocol": "rest"}
    recorded.append("v1", "v1-1", 101, {METRIC: [(late, 1.0), (OK, 2.0), (FAILED, 0.0)]})
    scrape(recorded, 102, 3)
    series = recorded.read(METRIC, 0, 200)
    assert values(series, OK) == ([100, 101, 102], [1, 2, 3])
    assert values(series, late) == ([101], [1])


def test_a_step_keeps_its_last_sample(recorded):
    for tenth in range(1, 41):
        scrape(recorded, 100 + tenth / 10, tenth)
    assert values(recorded.read(METRIC, 100, 104, 1), OK) == ([101, 102, 103, 104], [10, 20, 30, 40])
    assert len(values(recorded.read(METRIC, 100, 104), OK)[0]) == 40


def test_what_is_older_than_two_days_is_forgotten(recorded, tmp_path):
    scrape(recorded, 100, 1, pod="v1-0")
    scrape(recorded, 100, 1)
    scrape(recorded, 101 + KEPT_SECONDS, 2)
    assert values(recorded.read(METRIC, 0, 1e9), OK) == ([101 + KEPT_SECONDS], [2])
    with sqlite3.connect(tmp_path / "deep" / "samples.db") as database:
        [[labels]] = database.execute("SELECT labels FROM layout")
    assert json.loads(labels) == [OK, FAILED]


def test_it_is_read_while_it_is_written(recorded):
    scrape(recorded, 1, 1)
    stop = threading.Event()

    def write():
        second = 2
        while not stop.is_set():
            scrape(recorded, second, second)
            second += 1

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(50):
        times, found = values(recorded.read(METRIC, 0, 1e9), OK)
        assert times == found
    stop.set()
    writer.join()
    assert len(values(recorded.read(METRIC, 0, 1e9), OK)[0]) > 1


def test_without_a_database_it_says_what_to_run(recorded):
    with pytest.raises(DeliveryError, match=r"no samples in .*samples\.db; run bonafide deliver --local"):
        recorded.read(METRIC, 0, 1)


def test_a_database_that_is_none_is_told(recorded, tmp_path):
    path = tmp_path / "deep" / "samples.db"
    path.parent.mkdir()
    path.write_text("no database, and long enough to be looked at as one" * 20)
    with pytest.raises(DeliveryError, match=r"cannot be read from .*not a database"):
        recorded.read(METRIC, 0, 1)
    with pytest.raises(DeliveryError, match=r"cannot be kept in .*not a database"):
        scrape(recorded, 1, 1)
