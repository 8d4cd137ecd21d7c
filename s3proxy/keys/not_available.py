"""Bucket keys that cannot be had, though nothing is known to be damaged: why, and the way back.

Apart from ``IntegrityError`` on purpose. For damage one needs a backup of the objects; a key that is not available is
brought back in OpenBao, in the keyring or in the policy file, and every object is read again as it is. Of what a header
says nothing is authentic before its key is there, so a store that lies can claim this, too: it opens nothing by that.
"""

import enum

from strongroom.errors import StrongroomError


class Cause(enum.Enum):
    """Why a bucket key cannot be had. The values are labels of metrics."""

    GONE = "key_gone"  # OpenBao has no such transit key, or no such mount
    RETIRED = "version_retired"  # below min_decryption_version, and not rewrapped before that
    TOO_NEW = "version_unknown"  # of a version that the transit key does not have
    FORBIDDEN = "forbidden"  # OpenBao does not let the proxy use the key
    NO_POLICY = "policy_unknown"  # the policy file has no policy of that name for the object's name
    NO_RECORD = "record_missing"  # it is in the keyring only, and is not there
    OTHER_KEY = "other_key"  # the policy's key is not the one that its keyring was wrapped under
    KEYRING = "keyring_refused"  # the store does not let the proxy use its own bucket


REVOKED = frozenset({Cause.GONE, Cause.FORBIDDEN})
"""What OpenBao says of a key as a whole: bucket keys that it unwrapped are forgotten at once."""


class KeyNotAvailableError(StrongroomError):
    """A bucket key cannot be had, lastingly: somebody must act, and coming again does not help.

    Args:
        cause: why.
        message: what is wrong with which key.
        hint: the way back. It must never cost what is sealed already.
        when_new: the way on if nothing was ever sealed under the key; only who knows that may show it.
    """

    def __init__(self, cause: Cause, message: str, *, hint: str, when_new: str = "") -> None:
        """Keep the parts."""
        super().__init__(message, hint=hint)
        self.cause = cause
        self.when_new = when_new
