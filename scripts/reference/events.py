"""The page of log events."""

from collections.abc import Sequence

from bridge.events import EVENTS as BRIDGE
from s3proxy.events import EVENTS as S3PROXY
from scripts.reference.markdown import code, codes, page, section, sentence, table
from strongroom.service.events import EVENTS as SHARED
from strongroom.service.events import Event


def events_page() -> str:
    """Return the page."""
    return page(
        "Log events",
        """
The servers log to stderr, one JSON object on each line. Every line has `time`, `level`, `component` and `event`; an
`error` is the type and the place of an exception. Names of events are an interface, and change with a line in the
changelog. No line ever holds a value of a secret, a key or a body. `log_level` is the least level that is written.
""",
        section("Of both servers", _events(SHARED)),
        section("Of the bridge", _events(BRIDGE)),
        section("Of the S3 proxy", _events(S3PROXY)),
    )


def _events(events: Sequence[Event]) -> str:
    rows = (
        (
            code(event.name),
            " or ".join(event.levels),
            codes(event.fields) + (" and more" if event.grows else ""),
            sentence(event.meaning),
            sentence(event.cure),
        )
        for event in sorted(events, key=lambda event: event.name)
    )
    return table(("event", "level", "fields", "meaning", "what to do"), rows)
