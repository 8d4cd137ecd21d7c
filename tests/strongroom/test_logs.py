"""Logs hold names and numbers; whatever else is given to them is not printed."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from strongroom.errors import ConfigError
from strongroom.secret import Secret
from strongroom.service.logs import JsonFormatter, describe_error, log_event, plain

CANARY = "C4NARY"


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter("test"))
    logger = logging.getLogger("strongroom.example")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield stream
    logger.removeHandler(handler)
    logger.propagate = True


LOG = logging.getLogger("strongroom.example")


def test_an_event_is_one_line_of_json(output: io.StringIO) -> None:
    log_event(LOG, logging.INFO, "something_happened", {"count": 3, "path": "a\nb", "ok": True, "none": None})
    line = json.loads(output.getvalue())
    assert output.getvalue().count("\n") == 1
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info", "component": "test", "event": "something_happened",
        "count": 3, "path": "a\nb", "ok": True, "none": None,
    }  # fmt: skip


def test_a_field_cannot_pose_as_another(output: io.StringIO) -> None:
    log_event(LOG, logging.INFO, "real", {"event": "forged", "level": "forged", "component": "forged"})
    line = json.loads(output.getvalue())
    assert (line["event"], line["level"], line["component"]) == ("real", "info", "test")


@pytest.mark.parametrize(
    "value",
    [
        Secret(CANARY.encode()),
        CANARY.encode(),
        bytearray(CANARY.encode()),
        [CANARY],
        {CANARY: CANARY},
        ValueError(CANARY),
    ],
)
def test_what_is_not_plain_shows_its_type_only(output: io.StringIO, value: object) -> None:
    log_event(LOG, logging.ERROR, "event", {"value": value})  # type: ignore[dict-item]  # the case under test
    assert CANARY not in output.getvalue()
    assert type(value).__name__ in output.getvalue()


def test_a_text_is_cut() -> None:
    assert len(str(plain("x" * 5000))) == 2001


def test_messages_of_foreign_exceptions_are_left_out(output: io.StringIO) -> None:
    try:
        json.loads(f"{{{CANARY}")
        int(CANARY)
    except ValueError as error:
        log_event(LOG, logging.ERROR, "failed", error=error)
    line = json.loads(output.getvalue())
    assert CANARY not in output.getvalue()
    assert line["error"]["type"] == "JSONDecodeError"
    assert any("test_logs.py" in frame for frame in line["error"]["frames"])


def test_messages_of_our_own_exceptions_are_shown() -> None:
    error = ConfigError("a: is wrong")
    error.__cause__ = ValueError(CANARY)
    assert describe_error(error) == {
        "type": "ConfigError",
        "frames": [],
        "message": "a: is wrong",
        "cause": "ValueError",
    }


def test_records_of_libraries_show_their_template_only(output: io.StringIO) -> None:
    LOG.warning("cannot parse %r", CANARY)
    line = json.loads(output.getvalue())
    assert (line["event"], line["template"]) == ("library_message", "cannot parse %r")
    assert CANARY not in output.getvalue()


def test_a_whole_process_logs_json_even_for_libraries_and_broken_records() -> None:
    program = (
        "import logging, warnings\n"
        "from strongroom.service.logs import configure_logging, log_event\n"
        "configure_logging('demo', level='debug')\n"
        "log_event(logging.getLogger('demo.part'), logging.DEBUG, 'ours')\n"
        f"logging.getLogger('urllib3').warning('%s', '{CANARY}')\n"
        f"logging.getLogger('urllib3').warning('%s %s', '{CANARY}')\n"
        f"logging.getLogger('urllib3').debug('{CANARY}')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["ours", "library_message", "library_message"]
    assert done.stdout == ""
    assert CANARY not in done.stderr
