"""What the bridge tells of an error: its problem document, and for docs/reference/errors.md its cause and its cure."""

from dataclasses import dataclass
from typing import Final

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
from strongroom.launch.problem import Problem
from strongroom.service.edges import KIND_OF_CAUSE, SlowBodyError, TooLargeError, edge_of


@dataclass(frozen=True)
class Answer:
    """Why the bridge answers with a class of errors.

    Attributes:
        kind: the class, with those derived from it; ``strongroom.service.edges`` has the status.
        cause: why.
        cure: what to do.
    """

    kind: type[StrongroomError]
    cause: str
    cure: str


ANSWERS: Final = (
    Answer(
        TooLargeError,
        "the request is larger than `max_body_bytes`",
        "ask for less in one launch, or raise `max_body_bytes` and `max_bodies_bytes`",
    ),
    Answer(
        SlowBodyError,
        "the request's body did not come within `body_timeout_s`",
        "look at the network between wrapper and bridge",
    ),
    Answer(
        DeniedError,
        "the bridge's policy, or OpenBao's own, refuses a secret to this identity",
        "`strongroom plan` shows all refusals; add a grant to `policy.toml`, or `read` to the policy of the bridge's "
        "token",
    ),
    Answer(
        NotFoundError,
        "there is no such path, key or version",
        "write paths as `bao kv get` takes them, without `/data/`; store the secret, or say `?optional`",
    ),
    Answer(
        UndeliverableError,
        "a value cannot be a variable, or a file of this form",
        "take binary values as files; `?names=convert` for keys that cannot be variables",
    ),
    Answer(
        UnavailableError,
        "OpenBao is sealed, down or slow, the audit log cannot be written, or there is no place for the request",
        "the detail says which; the wrapper tries again, `--retries` times and within `--timeout`",
    ),
    Answer(
        PeerError,
        "OpenBao answers what cannot be used",
        "check `openbao_address`, and what is between the bridge and OpenBao",
    ),
    Answer(
        IntegrityError,
        "data of the bridge's own is not what it must be",
        "please report it, with the log's line",
    ),
    Answer(
        ConfigError,
        "the request breaks a rule of its format",
        "use a wrapper and a bridge of one version",
    ),
    Answer(StrongroomError, "a mistake of ours", "please report it, with the log's line"),
)


def problem_of(error: StrongroomError) -> Problem:
    """Return the problem document of an error."""
    edge = edge_of(KIND_OF_CAUSE[error.cause] if isinstance(error, RefusedError) else type(error))
    failures = error.failures if isinstance(error, RefusedError) else []
    detail = f"{error.message}; {error.hint}" if error.hint else error.message
    return Problem(status=edge.status, title=edge.title, detail=detail, failures=failures)
