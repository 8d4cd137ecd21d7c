"""Which keys of which buckets are sealed, and under what. Pure.

The first policy that fits a name is the one it is written under; an object is read if it was sealed under any that
fits. A name that none fits is refused.
"""

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from s3proxy.s3api.errors import S3Error

KEK_FILE = "file"
TRANSIT_PREFIX = "transit:"
_UNCOVERED = (
    "add a [[policy]] for this bucket to the policy file; what is sealed there already opens only under a policy of the"
    " name that it was sealed under, or that had this name formerly"
)


class Mode(enum.Enum):
    """What the objects of a policy are."""

    SEALED = "sealed"
    MIGRATE = "migrate"
    PASSTHROUGH = "passthrough"


class Audit(enum.Enum):
    """When the access log has a request for an object."""

    SOON = "soon"  # after the answer
    DURABLE = "durable"  # on disk before it


class EtagMode(enum.Enum):
    """What the ETag of an object is that was put in one piece (ADR 0019)."""

    OPAQUE = "opaque"
    MD5 = "md5"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One policy of the file.

    Attributes:
        formerly: names that it had before. A name is bound into each object that was sealed under it.
        advice: what of it should be written in another way by now, and how; "" for nothing.
    """

    name: str
    kek: str
    buckets: tuple[str, ...]
    prefixes: tuple[str, ...] = ("",)
    mode: Mode = Mode.SEALED
    etag: EtagMode = EtagMode.OPAQUE
    advice: str = ""
    formerly: tuple[str, ...] = ()
    audit: Audit = Audit.SOON

    @property
    def is_durable(self) -> bool:
        """Whether requests for its objects are on disk before they are answered."""
        return self.audit is Audit.DURABLE

    @property
    def names(self) -> tuple[str, ...]:
        """All names that its objects may have been sealed under, the present one first."""
        return (self.name, *self.formerly)

    def fits(self, bucket: str, key: str) -> bool:
        """Return whether a name is under this policy."""
        return key.startswith(self.prefixes) and any(fnmatchcase(bucket, pattern) for pattern in self.buckets)


class Policies:
    """All policies, in order."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        """Take them."""
        self._policies = tuple(policies)

    def __iter__(self) -> Iterator[Policy]:
        """Go over the policies."""
        return iter(self._policies)

    def require(self, bucket: str, key: str = "") -> Policy:
        """Return the policy that a name is written under.

        Raises:
            S3Error: AccessDenied, as no policy fits.
        """
        for policy in self._policies:
            if policy.fits(bucket, key):
                return policy
        raise S3Error("AccessDenied", "No key policy of the proxy covers this name.", hint=_UNCOVERED)

    def find(self, bucket: str, key: str) -> Policy | None:
        """Return the policy that a name is written under, or None."""
        return next((policy for policy in self._policies if policy.fits(bucket, key)), None)

    def are_durable(self, bucket: str, key: str) -> bool:
        """Return whether a request for an object is to be on disk first: one of the policies that fit it says so."""
        return bool(key) and any(policy.is_durable and policy.fits(bucket, key) for policy in self._policies)

    def readable(self, bucket: str, key: str) -> frozenset[str]:
        """Return the names of the policies whose objects may stand under a name."""
        return frozenset(name for policy in self._policies if policy.fits(bucket, key) for name in policy.names)


def sealing_policies(policies: Iterable[Policy]) -> dict[str, Policy]:
    """Return, by name, the policies that something is sealed under; entries of one name as one for the names of all."""
    merged: dict[str, Policy] = {}
    for policy in policies:
        if policy.mode is Mode.PASSTHROUGH:
            continue
        before = merged.get(policy.name)
        merged[policy.name] = (
            policy
            if before is None
            else replace(
                before,
                buckets=(*before.buckets, *policy.buckets),
                prefixes=(*before.prefixes, *policy.prefixes),
                formerly=(*before.formerly, *policy.formerly),
            )
        )
    return merged
