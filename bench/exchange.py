"""What the passage of a launch through a relay tells: its phases, and how often it waited for the network. Pure."""

import itertools
from typing import Final

from bench.failed import FailedError
from bench.relay import Passage

PHASES: Final = ("interpreter", "wrapper", "TLS", "fetch", "hand-off and exec")


def split_launch(passage: Passage, begin: int, first: int, start_up: int) -> dict[str, int]:
    """Return the nanoseconds of each phase of a launch.

    The client's second flight ends the handshake (RFC 8446, figure 1) and has the request behind it. What comes after
    the program began, as the end of the TLS connection may, is not part of the answer.

    Args:
        passage: through a relay without delay, in nanoseconds of the monotonic clock.
        begin: when the wrapper was exec'd.
        first: when ``main`` of the program began.
        start_up: the nanoseconds that the interpreter takes, measured by itself.

    Raises:
        FailedError: there was no such exchange before the program began.
    """
    received = [time for time in passage.received if time < first]
    requests = [time for time in passage.sent if received and received[0] <= time < first]
    if not requests or received[-1] <= requests[0]:
        msg = "a launch passed the relay without a handshake, a request and an answer before its program began"
        raise FailedError(msg)
    lengths = (
        start_up,
        passage.accepted - begin - start_up,
        requests[0] - passage.accepted,
        received[-1] - requests[0],
        first - received[-1],
    )
    return dict(zip(PHASES, lengths, strict=True))


def round_trips(passage: Passage, until: int) -> int:
    """Return how often a client waited for a server: to connect, and for an answer to each of its flights.

    Args:
        passage: through a relay with a delay, so that no answer passes in the middle of a flight.
        until: nanoseconds of the monotonic clock; later pieces do not count.
    """
    pieces = [(time, "sent") for time in passage.sent] + [(time, "received") for time in passage.received]
    ways = [way for time, way in sorted(pieces) if time < until]
    return 1 + sum(pair == ("sent", "received") for pair in itertools.pairwise(ways))
