"""The errors of the project, sorted by who must act on them.

Every error that leaves a component is one of these. The message names the thing and the rule it broke; ``hint`` names
the next step. Neither may ever hold a secret value. Each edge (HTTP, exit status) maps the classes outward in one
table.
"""

OTHER_VERSION = "use wrapper and bridge of one version, and let nothing between them change requests or answers"
"""The next step where one of the two cannot make sense of the other."""


class StrongroomError(Exception):
    """Base of all errors of the project.

    Args:
        message: what is wrong with what, in one line.
        hint: what to do about it, in one line; that of the class if it is left out. A test refuses places that leave it
            out where the class has none. Ask of each: could following it lose data, or open something?
    """

    usual_hint = ""
    """The next step where all errors of a class ask for the same one."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Keep message and hint apart, because the command line prints them on lines of their own."""
        super().__init__(message)
        self.message = message
        self.hint = hint or self.usual_hint


class ConfigError(StrongroomError):
    """A setting, a file or an argument is wrong; its owner must change it."""


class MisuseError(ConfigError):
    """A module of ours is called against its rules. No setting leads there."""

    usual_hint = "this is a mistake of Strongroom itself: please report it, with the lines around it"


class DeniedError(StrongroomError):
    """A policy says no; anyone who owns the policy must decide."""


class NotFoundError(StrongroomError):
    """The policy allows it, but there is no such secret, key or version."""


class PeerError(StrongroomError):
    """The other side cannot be reached, is not who it should be, or answers nonsense."""


class UnavailableError(PeerError):
    """The other side says that it cannot serve now; trying again later may help.

    Args:
        message: what is unavailable and why.
        hint: what to do about it.
        retry_after_s: seconds to wait before the next try, as far as the other side knows.
    """

    def __init__(self, message: str, *, hint: str = "", retry_after_s: float = 1.0) -> None:
        """Keep the pause beside the message; the edges send it as Retry-After (RFC 9110, section 10.2.3)."""
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class UndeliverableError(StrongroomError):
    """A value exists and may be read, but cannot be handed over in the way that was asked for."""


class IntegrityError(StrongroomError):
    """Data is not what its format or its seal says it is."""
