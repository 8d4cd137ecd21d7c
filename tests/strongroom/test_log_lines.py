"""The line of an event: the same whichever way it takes, and what the json module would write."""

import datetime as dt
import json
import logging
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from strongroom.secret import Secret
from strongroom.service.logs import JsonFormatter, StderrHandler, moment, plain

FORMATTER = JsonFormatter('proxy\n"ü')
LEVELS = st.sampled_from([logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR])
MOMENTS = st.integers(0, 1 << 42).map(lambda n: n / 1024)  # no rounding, up to the year 2106
TEXTS = st.one_of(
    st.text(), st.text(st.characters()), st.sampled_from(["x" * 2000, "x" * 2001, "\udcff", "\u2028", ""])
)
VALUES = st.one_of(
    TEXTS,
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.just(Secret(b"C4NARY")),
    st.binary(),
    st.lists(st.integers()),
)
NAMES = st.one_of(st.sampled_from(["time", "level", "component", "event", "status", "error"]), st.text(max_size=8))
FIELDS = st.dictionaries(NAMES, VALUES, max_size=6)


@given(MOMENTS, LEVELS, TEXTS, FIELDS)
def test_a_line_is_what_the_json_module_writes(
    moment_s: float, level: int, event: str, fields: dict[str, object]
) -> None:
    time = dt.datetime.fromtimestamp(moment_s, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    own = {"time": time, "level": logging.getLevelName(level).lower(), "component": 'proxy\n"ü', "event": event}
    more = {name: plain(value) for name, value in fields.items() if name not in own}
    assert FORMATTER.line(moment_s, level, event, fields) == json.dumps(own | more)


@given(MOMENTS, LEVELS, TEXTS, FIELDS)
def test_an_event_has_the_same_line_as_its_record(
    moment_s: float, level: int, event: str, fields: dict[str, object]
) -> None:
    record = logging.LogRecord("proxy.part", level, "", 0, event, None, None)
    record.created, record.strongroom_fields = moment_s, fields

    def by_record(handler: StderrHandler) -> None:
        handler.handle(record)

    def at_once(handler: StderrHandler) -> None:
        handler.write_event(moment_s, level, event, fields)

    assert written(at_once) == written(by_record) != b""


def written(write: Callable[[StderrHandler], None]) -> bytes:
    with tempfile.TemporaryFile() as log:
        handler = StderrHandler(FORMATTER, log.fileno())
        handler.setFormatter(FORMATTER)
        write(handler)
        log.seek(0)
        return log.read()


@given(st.floats(0, 4e9))
def test_a_moment_is_cut_to_milliseconds(seconds: float) -> None:
    read = dt.datetime.fromisoformat(moment(seconds))
    assert abs(read.timestamp() - seconds) < 0.00101
    assert moment(math.floor(seconds)).endswith(".000Z")


PROGRAM = """
import logging, sys
from strongroom.service.logs import configure_logging, log_event
configure_logging("demo", level="info")
log = logging.getLogger("demo.part")
heard = []
class Listener(logging.Handler):
    def emit(self, record):
        heard.append(record.getMessage())
log_event(log, logging.INFO, "first", {"count": 1})
log_event(log, logging.DEBUG, "not_shown")
listener = Listener()
logging.getLogger().addHandler(listener)
log_event(log, logging.INFO, "second", {"count": 2})
logging.getLogger().removeHandler(listener)
log_event(log, logging.INFO, "third", {"count": 3})
try:
    int("C4NARY")
except ValueError as error:
    log_event(log, logging.ERROR, "failed", {"error": "forged", "path": "p"}, error=error)
print(heard)
"""


def test_who_listens_besides_hears_every_event() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=30)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.stdout.split() == ["['second']"]
    assert [line["event"] for line in lines] == ["first", "second", "third", "failed"]
    assert [list(line) for line in lines[:3]] == [["time", "level", "component", "event", "count"]] * 3
    assert (lines[3]["error"]["type"], lines[3]["path"]) == ("ValueError", "p")
    assert "C4NARY" not in done.stderr
    assert "forged" not in done.stderr
