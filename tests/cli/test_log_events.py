"""The tables of log events against the calls that write them."""

import ast
import functools
from pathlib import Path

from bridge.events import EVENTS as BRIDGE
from s3proxy.events import EVENTS as S3PROXY
from strongroom.service.events import EVENTS as SHARED
from strongroom.service.events import Event
from tests.cli.emitted import RECORD_LOG, Emitted, emitted, sources
from tests.support.tree import ROOT

ALL = (*SHARED, *BRIDGE, *S3PROXY)
UNASKED = {"library_message", "log_lines_dropped"}  # written by the formatter and the handler themselves


def calls() -> list[Emitted]:
    return [call for path, tree in sources() for call in emitted(path, tree)]


@functools.cache
def record_logs() -> frozenset[str]:
    """Return the names of the logs of records; each has the events of ``record_log_events``."""
    return frozenset(
        str(keyword.value.value)
        for _, tree in sources()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "RecordLogNames"
        for keyword in call.keywords
        if keyword.arg == "log" and isinstance(keyword.value, ast.Constant)
    )


@functools.cache
def followed_files() -> frozenset[str]:
    """Return the names of values that follow files; each has an event for a file that cannot be used."""
    return frozenset(
        str(call.args[0].value)
        for _, tree in sources()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "FollowedFile"
        if isinstance(call.args[0], ast.Constant)
    )


def events_of(call: Emitted) -> list[Event]:
    """Return the rows of the component that a call is in, or of those of both."""
    own = {"bridge": BRIDGE, "s3proxy": S3PROXY}.get(call.place.partition("/")[0], ())
    rows = [row for row in (*SHARED, *own) if row.name in call.names]
    ends = [name.removeprefix(RECORD_LOG) for name in call.names if name.startswith(RECORD_LOG)]
    named = record_logs() | followed_files()
    return rows + [row for row in ALL for end in ends if row.name in {name + end for name in named}]


def faults(call: Emitted) -> list[str]:
    rows = events_of(call)
    if not rows or any(
        not name.startswith(RECORD_LOG) and name not in {row.name for row in rows} for name in call.names
    ):
        return [f"{call.place}: {sorted(call.names) or 'an event that cannot be told'} is in no table of events"]
    found = []
    for row in rows:
        if not call.levels <= set(row.levels):
            found.append(f"{call.place}: {row.name}: level {sorted(call.levels)} is not in the table")
        if not call.fields <= set(row.fields):
            found.append(
                f"{call.place}: {row.name}: fields {sorted(call.fields - set(row.fields))} are not in the table"
            )
    return found


def test_every_event_that_is_logged_is_in_the_tables_with_its_level_and_fields() -> None:
    found = calls()
    assert len(found) > 40
    assert record_logs()
    assert followed_files() == {"credentials", "policy", "store_credentials", "tls"}
    assert not [fault for call in found for fault in faults(call)]


def test_every_event_of_the_tables_is_logged_somewhere() -> None:
    logged = {row.name for call in calls() for row in events_of(call)}
    assert {row.name for row in ALL} - logged == UNASKED


def test_the_tables_name_each_event_once_and_tell_what_to_do() -> None:
    for rows in ((*SHARED, *BRIDGE), (*SHARED, *S3PROXY)):
        names = [row.name for row in rows]
        assert len(set(names)) == len(names)
    assert all(f"{log}_failed" in {row.name for row in ALL} for log in record_logs())
    assert all(f"{name}_reload_failed" in {row.name for row in ALL} for name in followed_files())
    assert not [row.name for row in ALL if not row.meaning or not row.cure]
    silent = [row.name for row in ALL if row.cure == "nothing" and {"error"} & set(row.levels)]
    assert not silent, "an error asks for something to be done"


def test_an_event_that_is_in_no_table_would_be_found() -> None:
    source = """
def f(x):
    log_event(_log, logging.INFO, "listening", {"pid": 1})
    log_event(_log, logging.WARNING, "stopped", {"colour": 1})
    event = "request" if x else "made_up"
    fields = {"route": 1}
    fields |= {"hue": 1}
    log_event(_log, x, event, fields)
    log_event(_log, logging.INFO, x.name)
"""
    place = ROOT / "bridge" / "example.py"
    good, wrong, other, untold = emitted(Path(place), ast.parse(source))
    assert not faults(good)
    assert [fault.partition(": ")[2] for fault in faults(wrong)] == [
        "stopped: level ['warning'] is not in the table",
        "stopped: fields ['colour'] are not in the table",
    ]
    assert "made_up" in faults(other)[0]
    assert other.fields == {"route", "hue"}
    assert "cannot be told" in faults(untold)[0]
