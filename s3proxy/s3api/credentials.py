"""Who clients are and what each may do: access keys, grants, principals. Default deny.

A grant gives rights on buckets (patterns with ``*``) and on keys that begin with one of its prefixes. Prefixes are
plain texts, because a listing asks for a prefix too: it is allowed when everything it can show is.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from s3proxy.s3api.errors import S3Error
from strongroom.secret import Secret

ANONYMOUS: Final = "anonymous"


class Right(enum.Enum):
    """What a grant can give."""

    READ = "read"  # objects, their metadata, tags and versions
    WRITE = "write"  # objects, their tags, multipart uploads
    LIST = "list"  # names of objects, versions and uploads
    DELETE = "delete"  # objects and versions
    ADMIN = "admin"  # buckets themselves, their configuration, ACLs, retention, however they are set


@dataclass(frozen=True)
class Grant:
    """Rights on some keys of some buckets.

    Attributes:
        buckets: patterns of bucket names; ``*`` stands for anything.
        prefixes: what keys must begin with; "" is every key.
        rights: what is given.
    """

    buckets: tuple[str, ...]
    prefixes: tuple[str, ...]
    rights: frozenset[Right]
    _names: frozenset[str] = field(init=False, repr=False, compare=False)
    _beginnings: tuple[str, ...] = field(init=False, repr=False, compare=False)
    _pieces: tuple[tuple[str, ...], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Take the patterns apart at their stars; most have none, or one at the end."""
        patterns = [tuple(name.split("*")) for name in self.buckets]
        names = (one[0] for one in patterns if len(one) == 1)
        beginnings = (one[0] for one in patterns if len(one) > 1 and not any(one[1:]))
        object.__setattr__(self, "_names", frozenset(names))
        object.__setattr__(self, "_beginnings", tuple(beginnings))
        object.__setattr__(self, "_pieces", tuple(one for one in patterns if any(one[1:])))

    def covers(self, bucket: str) -> bool:
        """Return whether the grant speaks of this bucket; only ``Principal`` decides by it."""
        if bucket in self._names or bucket.startswith(self._beginnings):
            return True
        return bool(self._pieces) and any(_is_made_of(bucket, pieces) for pieces in self._pieces)


def _is_made_of(name: str, pieces: tuple[str, ...]) -> bool:
    """Return whether a name is these pieces in their order, with anything between each two of them.

    In one pass: the store lists names of any length, and a regular expression would take a power of it.
    """
    first, *between, last = pieces
    at, end = len(first), len(name) - len(last)
    if not (name.startswith(first) and name.endswith(last)):
        return False
    for piece in between:
        at = name.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return at <= end


@dataclass(frozen=True)
class Principal:
    """Who sends a request.

    Attributes:
        name: for logs and metrics; the access key id, or "anonymous".
        grants: what they may do.
    """

    name: str
    grants: tuple[Grant, ...] = ()

    @property
    def is_anonymous(self) -> bool:
        """Whether the request carried no signature."""
        return self.name == ANONYMOUS

    def require(self, right: Right, bucket: str, key: str, *, what_for: str = "") -> None:
        """Return if the right is granted on a key, or on all keys that begin with it (for listings).

        Args:
            right: which.
            bucket: its name.
            key: or prefix.
            what_for: the header that needs it, if one does.

        Raises:
            S3Error: AccessDenied.
        """
        for grant in self.grants:
            if right in grant.rights and key.startswith(grant.prefixes) and grant.covers(bucket):
                return
        self._deny(f"{right.value} on {bucket}/{key}" + (f", which {what_for} needs" if what_for else ""))

    def require_any(self, rights: Iterable[Right], bucket: str, key: str) -> None:
        """Return if at least one of the rights is granted on a key.

        Raises:
            S3Error: AccessDenied.
        """
        wanted = frozenset(rights)
        for grant in self.grants:
            if wanted & grant.rights and key.startswith(grant.prefixes) and grant.covers(bucket):
                return
        self._deny(f"{' or '.join(sorted(right.value for right in wanted))} on {bucket}/{key}")

    def require_bucket(self, bucket: str) -> None:
        """Return if anything at all is granted in a bucket: enough to be told that it exists and where.

        Raises:
            S3Error: AccessDenied.
        """
        if not any(grant.covers(bucket) for grant in self.grants):
            self._deny(f"anything in {bucket}")

    def require_known(self) -> None:
        """Return if the request is signed.

        Raises:
            S3Error: AccessDenied.
        """
        if self.is_anonymous:
            self._deny("this without a signature")

    def visible_buckets(self, names: Iterable[str]) -> list[str]:
        """Return the buckets in which anything is granted, in their order."""
        return [name for name in names if any(grant.covers(name) for grant in self.grants)]

    def _deny(self, what: str) -> None:
        code, msg = "AccessDenied", "Access Denied"
        raise S3Error(code, msg, hint=f"no grant of the credentials file gives {self.name} {what}")


@dataclass(frozen=True, eq=False)
class Credential:
    """An access key.

    Attributes:
        access_key_id: public name of the key.
        secret_key: what signs.
        principal: who signs with it.
    """

    access_key_id: str
    secret_key: Secret
    principal: Principal


@dataclass(frozen=True)
class Credentials:
    """All access keys, and what unsigned requests may do.

    Attributes:
        by_id: the keys.
        anonymous: who sends a request without a signature.
    """

    by_id: Mapping[str, Credential] = field(default_factory=dict)
    anonymous: Principal = Principal(ANONYMOUS)

    def require(self, access_key_id: str) -> Credential:
        """Return a key.

        Raises:
            S3Error: InvalidAccessKeyId.
        """
        found = self.by_id.get(access_key_id)
        if found is None:
            code, msg = "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."
            raise S3Error(code, msg, details={"AWSAccessKeyId": access_key_id[:128]})
        return found
