"""How errors leave the bridge: one table from our classes to HTTP statuses, and the problem document of an error."""

from dataclasses import dataclass
from typing import Final

from bridge.arrivals import SlowBodyError
from bridge.service import RefusedError
from strongroom.errors import (
    ConfigError,
    DeniedError,
    IntegrityError,
    NotFoundError,
    PeerError,
    StrongroomError,
    UnavailableError,
    UndeliverableError,
)
from strongroom.launch.problem import DENIED, MISSING, UNDELIVERABLE, Problem


class TooLargeError(StrongroomError):
    """The body of a request is larger than it may be."""


@dataclass(frozen=True)
class Answer:
    """How a class of errors is answered.

    Attributes:
        kind: the class, with those derived from it.
        status: of the answer.
        title: of the problem.
        cause: why, for docs/reference/errors.md.
        cure: what to do.
    """

    kind: type[StrongroomError]
    status: int
    title: str
    cause: str
    cure: str


ANSWERS: Final = (
    Answer(
        TooLargeError,
        413,
        "Content Too Large",
        "the request is larger than `max_body_bytes`",
        "ask for less in one launch, or raise `max_body_bytes` and `max_bodies_bytes`",
    ),
    Answer(
        SlowBodyError,
        408,
        "Request Timeout",
        "the request's body did not come within `body_timeout_s`",
        "look at the network between wrapper and bridge",
    ),
    Answer(
        DeniedError,
        403,
        "Forbidden",
        "the bridge's policy, or OpenBao's own, refuses a secret to this identity",
        "`strongroom plan` shows all refusals; add a grant to `policy.toml`, or `read` to the policy of the bridge's "
        "token",
    ),
    Answer(
        NotFoundError,
        404,
        "Not Found",
        "there is no such path, key or version",
        "write paths as `bao kv get` takes them, without `/data/`; store the secret, or say `?optional`",
    ),
    Answer(
        UndeliverableError,
        422,
        "Unprocessable Content",
        "a value cannot be a variable, or a file of this form",
        "take binary values as files; `?names=convert` for keys that cannot be variables",
    ),
    Answer(
        UnavailableError,
        503,
        "Service Unavailable",
        "OpenBao is sealed, down or slow, the audit log cannot be written, or there is no place for the request",
        "the detail says which; the wrapper tries again, `--retries` times and within `--timeout`",
    ),
    Answer(
        PeerError,
        503,
        "Service Unavailable",
        "OpenBao answers what cannot be used",
        "check `openbao_address`, and what is between the bridge and OpenBao",
    ),
    Answer(
        IntegrityError,
        500,
        "Internal Server Error",
        "data of the bridge's own is not what it must be",
        "please report it, with the log's line",
    ),
    Answer(
        ConfigError,
        400,
        "Bad Request",
        "the request breaks a rule of its format",
        "use a wrapper and a bridge of one version",
    ),
    Answer(StrongroomError, 500, "Internal Server Error", "a mistake of ours", "please report it, with the log's line"),
)
"""The first class that fits counts."""

_CLASS_OF_CAUSE: dict[str, type[StrongroomError]] = {
    DENIED: DeniedError,
    MISSING: NotFoundError,
    UNDELIVERABLE: UndeliverableError,
}


def problem_of(error: StrongroomError) -> Problem:
    """Return the problem document of an error."""
    kind = _CLASS_OF_CAUSE[error.cause] if isinstance(error, RefusedError) else type(error)
    answer = next(answer for answer in ANSWERS if issubclass(kind, answer.kind))
    failures = error.failures if isinstance(error, RefusedError) else []
    detail = f"{error.message}; {error.hint}" if error.hint else error.message
    return Problem(status=answer.status, title=answer.title, detail=detail, failures=failures)
