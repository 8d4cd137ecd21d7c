"""Exit statuses of the wrapper, and which error ends with which.

An application's own status passes through untouched, so ours are numbers that applications rarely use. 126, 127 and
128+n mean what they mean to a shell (POSIX, Shell Command Language, 2.8.2).
"""

from strongroom import errors
from strongroom.terminal import tell
from wrapper.program import CannotExecError, NotOnPathError, ProtectionError

CONFIG = 111  # a setting, a reference or a file of the wrapper is wrong
DENIED = 112  # 403: policy refuses a secret
NOT_FOUND = 113  # 404: no such path, key or version
UNREACHABLE = 114  # the bridge cannot be reached, or is not who it should be
UNAVAILABLE = 115  # the bridge answers that it cannot serve now (503), until the deadline
UNDELIVERABLE = 116  # a value cannot be a variable
UNPROTECTED = 117  # the protection that --require demands cannot be had here
INTEGRITY = 118  # the bridge's answer is malformed
REGION = 120  # ends the application at its start: its library or the tracer could not put the secrets in place
CANNOT_EXEC = 126
NOT_ON_PATH = 127
SIGNALLED = 128  # plus the number of the signal


# Most specific first: the first class that matches decides.
_TABLE: tuple[tuple[type[errors.StrongroomError], int], ...] = (
    (ProtectionError, UNPROTECTED),
    (CannotExecError, CANNOT_EXEC),
    (NotOnPathError, NOT_ON_PATH),
    (errors.ConfigError, CONFIG),
    (errors.DeniedError, DENIED),
    (errors.NotFoundError, NOT_FOUND),
    (errors.UnavailableError, UNAVAILABLE),
    (errors.PeerError, UNREACHABLE),
    (errors.UndeliverableError, UNDELIVERABLE),
    (errors.IntegrityError, INTEGRITY),
)


def status_of(error: errors.StrongroomError) -> int:
    """Return the exit status for an error."""
    return next((status for kind, status in _TABLE if isinstance(error, kind)), 1)


def report(error: errors.StrongroomError) -> int:
    """Write an error as every verb does and return its exit status."""
    tell(error)
    return status_of(error)
