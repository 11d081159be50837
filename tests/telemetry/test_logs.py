import io
import json
import logging
import re

import pytest

from bonafide.telemetry import logs


@pytest.fixture
def lines():
    before, levels = logging.getLogger().handlers[:], logging.getLogger().level
    stream = io.StringIO()
    logs.configure(stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logging.captureWarnings(False)
    logging.basicConfig(handlers=before, level=levels, force=True)


def test_a_line_is_json_with_time_level_logger_and_message(lines):
    logging.getLogger("a.b").warning("%d of %s", 3, "ü")
    (line,) = lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("time"))
    assert line == {"level": "WARNING", "logger": "a.b", "message": "3 of ü", "request_id": ""}


def test_extra_fields_and_the_request_at_hand_are_told(lines):
    token = logs.request_id.set("r-1")
    logging.getLogger("a").info("request", extra={"status": 200, "ms": 1.5})
    logs.request_id.reset(token)
    (line,) = lines()
    assert (line["request_id"], line["status"], line["ms"]) == ("r-1", 200, 1.5)


def test_an_exception_stays_on_one_line(lines):
    try:
        raise KeyError("lost")
    except KeyError:
        logging.getLogger("a").exception("failed")
    (line,) = lines()
    assert line["exc_info"].endswith("KeyError: 'lost'")


def test_neither_images_nor_tokens_are_told(lines):
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJl-_"
    logging.getLogger("a").info("got Bearer %s", token, extra={"image": b"\xff\xd8\xff", "again": [token]})
    (line,) = lines()
    assert line["message"] == "got Bearer [token]"
    assert line["again"] == ["[token]"]
    assert line["image"] == "3 bytes"


def test_levels_below_the_one_asked_for_are_left_out(lines):
    logging.getLogger("a").debug("not this")
    assert lines() == []


def test_by_default_a_request_is_local_and_has_no_id():
    assert (logs.protocol.get(), logs.request_id.get()) == ("local", "")
