"""Which keys of which buckets are sealed, and under what: the text of the policy file. Pure.

    [[policy]]
    name = "orders"                # stands in the header of every object sealed under it
    kek = "transit:orders"         # a transit key, or "file" for the key file
    formerly = ["sales"]           # names that it had before: what was sealed under them is read
    buckets = ["orders", "eu-*"]
    prefixes = ["2026/"]           # default: every key
    mode = "sealed"                # sealed: plaintext objects are an error; migrate: they are read; passthrough
    audit = "durable"              # who asks for its objects is on disk before the answer; default: soon after it
    etag = "opaque"                # opaque: made of the store's; md5: of the plaintext, for HEADs in listings

The first policy that fits a name is the one it is written under; an object is read if it was sealed under any that
fits. A name that none fits is refused.
"""

import enum
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from s3proxy.s3api.errors import S3Error
from strongroom.errors import ConfigError
from strongroom.sealed.names import POLICY_NAME
from strongroom.service.members import LIST, TEXT, Member, require_members

KEK_FILE = "file"
TRANSIT_PREFIX = "transit:"
_TRANSIT = re.compile(re.escape(TRANSIT_PREFIX) + r"[A-Za-z0-9_.-]{1,100}")
_UNCOVERED = (
    "add a [[policy]] for this bucket to the policy file; what is sealed there already opens only under a policy of the"
    " name that it was sealed under, or that had this name formerly"
)
_NAME_RULE = "a name has 1 to 32 of a-z, 0-9 and ._-, letter or digit first"
POLICY = (
    Member(
        "name",
        TEXT,
        f"the policy's name, which is bound into each object sealed under it and cannot be changed alone; {_NAME_RULE}",
    ),
    Member(
        "kek",
        TEXT,
        "the key that wraps the bucket keys: `transit:KEY` is a transit key of OpenBao, `file` the key in `kek_file`",
    ),
    Member(
        "formerly",
        LIST,
        "names that the policy had before: what was sealed under them is read with its key",
        default="[]",
    ),
    Member("buckets", LIST, "patterns of bucket names (`*`, `?` and `[...]`, as those of a shell)"),
    Member("prefixes", LIST, "what keys must begin with; no patterns", default='[""], all keys'),
    Member(
        "mode",
        TEXT,
        "`sealed`: plaintext is refused as damage; `migrate`: plaintext is read as well, and what is written is "
        "sealed; `passthrough`: nothing is sealed",
        default='"sealed"',
    ),
    Member(
        "etag",
        TEXT,
        "of objects that are put in one piece: `opaque` is made of the store's own; `md5` is the MD5 of the plaintext, "
        "which costs listings a HEAD of each object not seen before",
        default='"opaque"',
    ),
    Member(
        "audit",
        TEXT,
        "when the access log has a request for its objects: `soon` after the answer; `durable`: on disk before the "
        "answer, or the request is refused",
        default='"soon"',
    ),
    Member("list_etag", TEXT, '`exact` means `etag = "md5"`, and `quick` nothing', default="left out", outdated=True),
)
"""The members of a ``[[policy]]``."""


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
        """Say whether a name is under this policy."""
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
        code, msg = "AccessDenied", "No key policy of the proxy covers this name."
        raise S3Error(code, msg, hint=_UNCOVERED)

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


def parse_policies(content: bytes, *, origin: str) -> Policies:
    """Read what a policy file holds.

    Args:
        content: of the file.
        origin: its name, for messages.

    Raises:
        ConfigError: it says something that is not allowed; the message names the place.
    """
    try:
        document = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        msg = f"{origin}: is not TOML: {error}"
        raise ConfigError(msg, hint="see https://toml.io") from None
    entries = document.pop("policy", [])
    if document or not isinstance(entries, list) or not entries:
        msg = f"{origin}: must hold [[policy]] tables and nothing else"
        raise ConfigError(msg, hint="one table per key policy, with name, kek and buckets")
    policies = [_policy(entry, f"{origin}: policy {number}") for number, entry in enumerate(entries, start=1)]
    keks: dict[str, str] = {}
    for policy in policies:
        if keks.setdefault(policy.name, policy.kek) != policy.kek:
            msg = f"{origin}: policy {policy.name}: is given two keys"
            raise ConfigError(
                msg, hint="a name stands for one key; another name only for the one that nothing is sealed under"
            )
    _require_former_names(policies, keks, origin)
    return Policies(policies)


def _require_former_names(policies: Sequence[Policy], keks: Mapping[str, str], origin: str) -> None:
    """Return if each former name stands for one key, too.

    Raises:
        ConfigError: it is in use, or two policies with different keys had it.
    """
    former: dict[str, str] = {}
    for policy in policies:
        for name in policy.formerly:
            if name in keks:
                msg = f"{origin}: policy {policy.name}: formerly {name}, which is a policy of this file"
                hint = (
                    "to move a bucket to another policy put the new one before the old, and have both name the bucket"
                )
                raise ConfigError(msg, hint=hint)
            if former.setdefault(name, policy.kek) != policy.kek:
                msg = f"{origin}: policy {policy.name}: formerly {name}, which another policy with another key was, too"
                raise ConfigError(msg, hint="name it at the policy whose key its objects were sealed under")


def _policy(entry: object, place: str) -> Policy:
    entry = require_members(entry, POLICY, place)
    name, kek = entry["name"], entry["kek"]
    formerly = _texts(entry["formerly"], f"{place}: formerly") if "formerly" in entry else ()
    for former in formerly:
        if not POLICY_NAME.fullmatch(former):
            msg = f"{place}: formerly {former!r}: cannot have been the name of a policy"
            raise ConfigError(msg, hint=_NAME_RULE)
    if not isinstance(name, str) or not POLICY_NAME.fullmatch(name):
        msg = f"{place}: name {name!r}: is not the name of a policy"
        raise ConfigError(msg, hint=_NAME_RULE)
    if not isinstance(kek, str) or not (kek == KEK_FILE or _TRANSIT.fullmatch(kek)):
        msg = f"{place}: kek {kek!r}: must be file or transit:KEY"
        raise ConfigError(msg, hint='write kek = "transit:KEY", KEY as in `bao read transit/keys/KEY`')
    try:
        audit = Audit(entry.get("audit", "soon"))
        mode, etag = Mode(entry.get("mode", "sealed")), EtagMode(entry.get("etag", _etag_meant(entry, place).value))
    except ValueError as error:
        msg = f"{place}: {error}"
        hint = "mode is sealed, migrate or passthrough; etag is md5 or opaque; audit is soon or durable"
        raise ConfigError(msg, hint=hint) from None
    return Policy(
        name=name,
        kek=kek,
        buckets=_texts(entry["buckets"], f"{place}: buckets"),
        prefixes=_texts(entry.get("prefixes", [""]), f"{place}: prefixes"),
        mode=mode,
        etag=etag,
        advice=_advice(etag) if "list_etag" in entry else "",
        formerly=formerly,
        audit=audit,
    )


def _etag_meant(entry: Mapping[str, object], place: str) -> EtagMode:
    """Return what ``etag`` is where it is not said: who had MD5s in listings, for a HEAD each, goes on to have them.

    ``list_etag`` is of a time when listings could show another ETag than other answers.

    Raises:
        ConfigError: it is not what it could be then.
    """
    listed = entry.get("list_etag", "quick")
    if listed not in ("quick", "exact"):  # not a set: TOML has lists
        msg = f"{place}: {listed!r} is not a valid list_etag"
        raise ConfigError(msg, hint="leave list_etag out: listings show the ETag that etag chooses")
    return EtagMode.MD5 if listed == "exact" else EtagMode.OPAQUE


def _advice(etag: EtagMode) -> str:
    costs = ", and each object that was not seen before costs listings a HEAD" if etag is EtagMode.MD5 else ""
    return f'list_etag has no meaning of its own any more: listings show the ETag of etag = "{etag.value}"{costs}'


def _texts(value: object, place: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        msg = f"{place}: must be a list of texts"
        raise ConfigError(msg, hint='write for example ["orders", "eu-*"]')
    return tuple(value)
