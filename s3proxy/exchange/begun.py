"""A request that was begun before it had a task: what the dispatcher goes on with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from s3proxy.exchange.access_record import AccessRecord
from s3proxy.exchange.incoming import Incoming
from s3proxy.exchange.places import Place
from s3proxy.metrics import StoreAnswers
from s3proxy.s3api.operations import Call
from s3proxy.s3api.sigv4 import Verified


@dataclass(slots=True, eq=False)
class Course:
    """What is noted of a request from its beginning to its end.

    Attributes:
        record: of it in the access log.
        began: when, by ``time.perf_counter``.
        answers: of the store, so far.
    """

    record: AccessRecord
    began: float
    answers: StoreAnswers


@dataclass(kw_only=True, slots=True, eq=False)
class Begun:
    """A request that was admitted and has a place.

    Attributes:
        course: of it, from when it was begun.
        verified: who asks.
        call: what for.
        place: that it has; whoever ends the request gives it back.
        handler: what serves the rest of it.
        is_continued: whether its client was told to send the body.
    """

    course: Course
    verified: Verified
    call: Call
    place: Place
    handler: Callable[[Incoming], Awaitable[None]]
    is_continued: bool = False
