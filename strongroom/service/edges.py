"""How errors leave a service: one table from our classes to what HTTP and gRPC say, side by side.

A front asks ``edge_of`` and writes what its protocol needs. Causes are what is told of one secret among several
(``strongroom.launch.problem``): each stands for a class, so that a refusal of many is answered like one of that class.
"""

import enum
import math
from dataclasses import dataclass
from typing import Final

from strongroom import errors
from strongroom.launch.problem import DENIED, MISSING, UNDELIVERABLE


class TooLargeError(errors.StrongroomError):
    """The body of a request is larger than it may be."""


class SlowBodyError(errors.StrongroomError):
    """The body of a request did not come in time."""


class GrpcCode(enum.IntEnum):
    """The status codes of gRPC that we use (https://grpc.github.io/grpc/core/md_doc_statuscodes.html)."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15


@dataclass(frozen=True)
class Edge:
    """What is said of a class of errors.

    Attributes:
        kind: the class, with those derived from it.
        status: of HTTP.
        title: of that status (RFC 9110, section 15).
        grpc: the code of gRPC.
    """

    kind: type[errors.StrongroomError]
    status: int
    title: str
    grpc: GrpcCode


EDGES: Final = (
    Edge(TooLargeError, 413, "Content Too Large", GrpcCode.RESOURCE_EXHAUSTED),
    Edge(SlowBodyError, 408, "Request Timeout", GrpcCode.DEADLINE_EXCEEDED),
    Edge(errors.DeniedError, 403, "Forbidden", GrpcCode.PERMISSION_DENIED),
    Edge(errors.NotFoundError, 404, "Not Found", GrpcCode.NOT_FOUND),
    Edge(errors.UndeliverableError, 422, "Unprocessable Content", GrpcCode.FAILED_PRECONDITION),
    Edge(errors.UnavailableError, 503, "Service Unavailable", GrpcCode.UNAVAILABLE),
    Edge(errors.PeerError, 503, "Service Unavailable", GrpcCode.UNAVAILABLE),
    Edge(errors.IntegrityError, 500, "Internal Server Error", GrpcCode.DATA_LOSS),
    Edge(errors.ConfigError, 400, "Bad Request", GrpcCode.INVALID_ARGUMENT),
    Edge(errors.StrongroomError, 500, "Internal Server Error", GrpcCode.INTERNAL),
)
"""The first class that fits counts."""

KIND_OF_CAUSE: Final[dict[str, type[errors.StrongroomError]]] = {
    DENIED: errors.DeniedError,
    MISSING: errors.NotFoundError,
    UNDELIVERABLE: errors.UndeliverableError,
}


def edge_of(kind: type[errors.StrongroomError]) -> Edge:
    """Return what is said of a class of errors."""
    return next(edge for edge in EDGES if issubclass(kind, edge.kind))


def pause_of(error: errors.StrongroomError) -> int | None:
    """Return the whole seconds to wait before the next try (RFC 9110, section 10.2.3), None where none will help."""
    if not isinstance(error, errors.PeerError):
        return None
    return max(1, math.ceil(error.retry_after_s if isinstance(error, errors.UnavailableError) else 1.0))


def cause_of(error: errors.StrongroomError) -> str:
    """Return the cause that stands for an error: what is neither refused nor missing cannot be handed over."""
    return next((cause for cause, kind in KIND_OF_CAUSE.items() if isinstance(error, kind)), UNDELIVERABLE)
