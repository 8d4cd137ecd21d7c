"""What callers are answered over HTTP: problem documents (RFC 9457), and large answers in pieces.

asyncio's transport of TLS takes whatever is written to it at once, encrypts it and keeps it. So that what a caller does
not read does not pile up in buffers, a large answer is written in pieces, each when the one before is mostly gone, and
its caller has a least rate to keep to.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from aiohttp import ClientConnectionError, web

from bridge.service import RefusedError
from strongroom import errors
from strongroom.launch.problem import PROBLEM_MEDIA_TYPE, Problem, encode_problem
from strongroom.service.edges import KIND_OF_CAUSE, SlowBodyError, TooLargeError, edge_of, pause_of

PIECE_BYTES = 64 << 10
GRACE_S = 5.0
LEAST_BYTES_PER_S = 256 << 10


@dataclass(frozen=True)
class Answer:
    """Why the bridge answers with a class of errors.

    Attributes:
        kind: the class, with those derived from it; ``strongroom.service.edges`` has the status.
        cause: why.
        cure: what to do.
    """

    kind: type[errors.StrongroomError]
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
        errors.DeniedError,
        "the bridge's policy, or OpenBao's own, refuses a secret to this identity",
        "`strongroom plan` shows all refusals; add a grant to `policy.toml`, or `read` to the policy of the bridge's "
        "token",
    ),
    Answer(
        errors.NotFoundError,
        "there is no such path, key or version",
        "write paths as `bao kv get` takes them, without `/data/`; store the secret, or say `?optional`",
    ),
    Answer(
        errors.UndeliverableError,
        "a value cannot be a variable, or a file of this form",
        "take binary values as files; `?names=convert` for keys that cannot be variables",
    ),
    Answer(
        errors.UnavailableError,
        "OpenBao is sealed, down or slow, the audit log cannot be written, or there is no place for the request",
        "the detail says which; the wrapper tries again, `--retries` times and within `--timeout`",
    ),
    Answer(
        errors.PeerError,
        "OpenBao answers what cannot be used",
        "check `openbao_address`, and what is between the bridge and OpenBao",
    ),
    Answer(
        errors.IntegrityError,
        "data of the bridge's own is not what it must be",
        "please report it, with the log's line",
    ),
    Answer(
        errors.ConfigError,
        "the request breaks a rule of its format",
        "use a wrapper and a bridge of one version",
    ),
    Answer(errors.StrongroomError, "a mistake of ours", "please report it, with the log's line"),
)


def problem_of(error: errors.StrongroomError) -> Problem:
    """Return the problem document of an error."""
    edge = edge_of(KIND_OF_CAUSE[error.cause] if isinstance(error, RefusedError) else type(error))
    failures = error.failures if isinstance(error, RefusedError) else []
    detail = f"{error.message}; {error.hint}" if error.hint else error.message
    return Problem(status=edge.status, title=edge.title, detail=detail, failures=failures)


def problem_response(problem: Problem, error: errors.StrongroomError | None = None) -> web.Response:
    """Return the answer that has a problem, which an error was the reason for."""
    pause_s = pause_of(error) if error else None
    headers = {"Retry-After": str(pause_s)} if pause_s else {}
    return web.Response(
        status=problem.status, body=encode_problem(problem), content_type=PROBLEM_MEDIA_TYPE, headers=headers
    )


class InPieces(web.StreamResponse):
    """An answer that is sent by ``send``."""

    def __init__(self, whole: web.Response, body: bytes) -> None:
        """Take status and headers of an answer, and its body."""
        super().__init__(status=whole.status, reason=whole.reason, headers=whole.headers)
        self._pieces = memoryview(body)
        self.content_length = len(body)

    async def send(
        self, request: web.BaseRequest, *, grace_s: float = GRACE_S, least_bytes_per_s: float = LEAST_BYTES_PER_S
    ) -> bool:
        """Send it, unless the caller has gone; return False, and end the connection, if it takes it too slowly.

        Args:
            request: that it answers.
            grace_s: what the caller may take besides the time that follows from the rate.
            least_bytes_per_s: at which it has to take it.
        """
        transport = request.transport
        if transport is None:
            return True
        transport.set_write_buffer_limits(PIECE_BYTES)
        try:
            async with asyncio.timeout(grace_s + len(self._pieces) / least_bytes_per_s):
                await self.prepare(request)
                for start in range(0, len(self._pieces), PIECE_BYTES):
                    await self.write(self._pieces[start : start + PIECE_BYTES])
        except TimeoutError:
            transport.abort()
            return False
        except (ConnectionError, ClientConnectionError):  # aiohttp finds out by itself
            return True
        return True


def in_pieces(response: web.StreamResponse) -> web.StreamResponse:
    """Return an answer in pieces if it is large, else as it is."""
    body = response.body if isinstance(response, web.Response) else None
    if isinstance(response, web.Response) and isinstance(body, bytes) and len(body) > PIECE_BYTES:
        return InPieces(response, body)
    return response
