"""What the bridge answers instead of secrets, as an error that names variable, path and cause.

Imported only when it refuses.
"""

from strongroom.errors import (
    DeniedError,
    NotFoundError,
    PeerError,
    StrongroomError,
    UnavailableError,
    UndeliverableError,
)
from strongroom.launch.problem import DENIED, MISSING, Failure, Problem, decode_problem
from strongroom.launch.reference import spell_key, spell_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wrapper.fetch.http import ResponseHead

_NOT_UNDERSTOOD = frozenset({400, 404, 405})  # a request with members, or a path, that the bridge does not know
_OLDER_BRIDGE = (
    "an older bridge knows neither filters (|url), nor the newer options of whole paths, nor plan --check: upgrade "
    "bridges before wrappers"
)

_SEE_LOG = "the log of the bridge has this request, with the reason"


def refusal_of(head: "ResponseHead", body: bytes, *, busy: bool) -> StrongroomError:
    """Turn an error answer of the bridge into an error of ours.

    Args:
        head: of the answer.
        body: a problem document, if it is one.
        busy: whether asking again may help.
    """
    problem = decode_problem(head.status, body)
    if busy:
        return UnavailableError(
            f"the bridge cannot serve now ({head.status}): {problem.detail}",
            hint="it was asked again until the deadline; /readyz of the bridge tells which part is not well",
            retry_after_s=head.retry_after_s,
        )
    if not problem.failures:
        kind: type[StrongroomError] = DeniedError if head.status in {401, 403} else PeerError
        line = f"the bridge refuses the request ({head.status}): {problem.detail or problem.title}"
        return kind(line, hint=_OLDER_BRIDGE if head.status in _NOT_UNDERSTOOD else _SEE_LOG)
    # The gravest cause decides the status; the failure shown is the first of that cause.
    for cause, error_type, shown in ((DENIED, DeniedError, "403"), (MISSING, NotFoundError, "404")):
        first = next((failure for failure in problem.failures if failure.cause == cause), None)
        if first:
            return error_type(_failure_line(first, shown, problem), hint=_failure_hint(first, problem))
    first = problem.failures[0]
    return UndeliverableError(_failure_line(first, "422", problem), hint=_failure_hint(first, problem))


def _failure_line(failure: Failure, status: str, problem: Problem) -> str:
    target = spell_path(failure.path) + (f"#{spell_key(failure.key)}" if failure.key else "")
    variable = f"{failure.name}: " if failure.name else ""
    more = f" (and {len(problem.failures) - 1} more)" if len(problem.failures) > 1 else ""
    return f"{variable}{target}: {failure.cause} ({status}): {failure.detail}{more}"


def _failure_hint(failure: Failure, problem: Problem) -> str:
    if "/data/" in failure.path and failure.cause != "undeliverable":  # as the API and other clients have it
        without = spell_path(failure.path.replace("/data/", "/", 1))
        return f"if its /data/ is that of OpenBao's API, write the path without data/: bao:{without}#KEY"
    if len(problem.failures) > 1:
        return "strongroom plan --check -- COMMAND shows what stops each of them"
    if failure.cause == DENIED:
        return (
            "if this identity may have it, add a grant to the bridge's policy.toml, or `read` to the policy of the "
            "bridge's token in OpenBao; strongroom plan --check -- COMMAND tells when it can be read"
        )
    return "strongroom plan --check -- COMMAND tells when it is mended, and starts nothing"
