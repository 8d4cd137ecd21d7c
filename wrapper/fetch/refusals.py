"""What a refusal of the bridge, or a TLS handshake that failed, means to anyone who has to mend it.

Imported only when there is one.
"""

from _ssl import SSLCertVerificationError, SSLEOFError, SSLError  # those of ssl

from strongroom import errors
from strongroom.launch.problem import DENIED, MISSING, Failure, Problem, decode_problem
from strongroom.launch.reference import spell_key, spell_path
from strongroom.validity import fault_of_dates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wrapper.fetch.http import ResponseHead
    from wrapper.settings import WrapperSettings

_NOT_UNDERSTOOD = frozenset({400, 404, 405})  # a request with members, or a path, that the bridge does not know
_OLDER_BRIDGE = (
    "an older bridge knows neither filters (|url), nor the newer options of whole paths, nor plan --check: upgrade "
    "bridges before wrappers"
)

_SEE_LOG = "the log of the bridge has this request, with the reason"

# X509_V_ERR_ of openssl/x509_vfy.h
_NOT_YET_VALID, _HAS_EXPIRED, _INVALID_PURPOSE, _HOSTNAME_MISMATCH, _IP_MISMATCH = 9, 10, 26, 62, 64


def refusal_of_answer(head: "ResponseHead", body: bytes, *, busy: bool) -> errors.StrongroomError:
    """Turn an error answer of the bridge into an error of ours.

    Args:
        head: of the answer.
        body: a problem document, if it is one.
        busy: whether asking again may help.
    """
    problem = decode_problem(head.status, body)
    if busy:
        return errors.UnavailableError(
            f"the bridge cannot serve now ({head.status}): {problem.detail}",
            hint="it was asked again until the deadline; /readyz of the bridge tells which part is not well",
            retry_after_s=head.retry_after_s,
        )
    if not problem.failures:
        kind: type[errors.StrongroomError] = errors.DeniedError if head.status in {401, 403} else errors.PeerError
        line = f"the bridge refuses the request ({head.status}): {problem.detail or problem.title}"
        return kind(line, hint=_OLDER_BRIDGE if head.status in _NOT_UNDERSTOOD else _SEE_LOG)
    # The gravest cause decides the status; the failure shown is the first of that cause.
    for cause, error_type, shown in ((DENIED, errors.DeniedError, "403"), (MISSING, errors.NotFoundError, "404")):
        first = next((failure for failure in problem.failures if failure.cause == cause), None)
        if first:
            return error_type(_failure_line(first, shown, problem), hint=_failure_hint(first, problem))
    first = problem.failures[0]
    return errors.UndeliverableError(_failure_line(first, "422", problem), hint=_failure_hint(first, problem))


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


def refusal_of_handshake(error: SSLError, bridge: str, settings: "WrapperSettings") -> errors.PeerError | None:
    """Return what is to be said, None if the connection was just lost.

    Args:
        error: of the handshake, or of what came right behind it.
        bridge: its host and port.
        settings: of this launch.
    """
    if isinstance(error, SSLCertVerificationError):
        message = f"bridge {bridge}: its certificate does not hold: {error.verify_message}"
        return errors.PeerError(message, hint=_hint_for(error.verify_code, settings))
    reason = (error.reason or "").lower().replace("_", " ")
    if "alert" in reason and ("certificate" in reason or "unknown ca" in reason):
        return _refuses_ours(bridge, reason, settings.cert)
    if isinstance(error, SSLEOFError) or not reason:
        return None
    return errors.PeerError(f"bridge {bridge}: TLS: {reason}", hint="does the address lead to the bridge's HTTPS port?")


def _hint_for(code: int, settings: "WrapperSettings") -> str:
    if code == _HAS_EXPIRED:
        return f"renew the bridge's certificate, or the authority that signed it (--ca {settings.ca})"
    if code == _NOT_YET_VALID:
        return "check the clocks of both machines; else the bridge's certificate was issued for later"
    if code in {_HOSTNAME_MISMATCH, _IP_MISMATCH}:
        return "name the bridge in STRONGROOM_BRIDGE as its certificate does, or issue that for this name, too"
    if code == _INVALID_PURPOSE:
        return "issue the bridge's certificate for servers: extended key usage serverAuth, or none"
    return f"--ca {settings.ca} must hold the authority that signed the bridge's certificate"


def _refuses_ours(bridge: str, reason: str, path: str) -> errors.PeerError:
    message = f"bridge {bridge}: refuses our certificate: {reason}"
    fault = fault_of_dates(path)
    if fault:
        return errors.PeerError(f"{message}: {fault}", hint=f"renew --cert {path}, or check the clock of this machine")
    return errors.PeerError(message, hint=f"check --cert {path}: its issuer, its dates, its key usage")
