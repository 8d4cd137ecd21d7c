"""The policy file: what it holds, and keeping up with it. A broken edit leaves the old policies in force and says so.

    [[policy]]
    name = "orders"                # is in the header of every object sealed under it
    kek = "transit:orders"         # a transit key, or "file" for the key file
    formerly = ["sales"]           # names that it had before: what was sealed under them is read
    buckets = ["orders", "eu-*"]
    prefixes = ["2026/"]           # default: every key
    mode = "sealed"                # sealed: plaintext objects are an error; migrate: they are read; passthrough
    audit = "durable"              # who asks for its objects is on disk before the answer; default: soon after it
    etag = "opaque"                # opaque: made of the store's; md5: of the plaintext, for HEADs in listings

The order of the tables counts (``policies``).
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from s3proxy.keys.policies import KEK_FILE, TRANSIT_PREFIX, Audit, EtagMode, Mode, Policies, Policy
from strongroom.errors import ConfigError
from strongroom.sealed.names import POLICY_NAME
from strongroom.service.following import FollowedFile, KeptFiles, Read
from strongroom.service.logs import log_event
from strongroom.service.members import LIST, TEXT, Member, parse_toml, require_members, texts_in

_log = logging.getLogger(__name__)
_TRANSIT = re.compile(re.escape(TRANSIT_PREFIX) + r"[A-Za-z0-9_.-]{1,100}")
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


class PolicyFile(Policies):
    """The policies in force; call ``poll`` from time to time."""

    def __init__(
        self,
        path: Path,
        *,
        check: Callable[[Policies], object] = lambda _: None,
        kept: KeptFiles | None = None,
    ) -> None:
        """Read the file.

        Args:
            path: the policy file.
            check: raises ConfigError when policies cannot be put in force.
            kept: what was in force in the process that this one replaces.

        Raises:
            ConfigError: it is missing or broken, and there are no older policies to keep.
        """
        self._path = path
        self._check = check
        self._file = FollowedFile("policy", self._read, on_new=self._use, kept=kept)
        super().__init__(tuple(self._file.value))
        self._advise()

    @property
    def error(self) -> str:
        """Why the newest file could not be used, or ""."""
        return self._file.error

    def poll(self) -> bool:
        """Read the file again if it has changed; keep the old policies if the new ones are broken.

        Returns whether new ones are in force.
        """
        return self._file.poll()

    def _use(self, policies: Policies) -> None:
        self._policies = tuple(policies)
        log_event(_log, logging.INFO, "policy_reloaded", {"policies": len(self._policies)})
        self._advise()

    def _read(self, read: Read) -> Policies:
        try:
            content = read(self._path)
        except OSError as error:
            msg = f"{self._path}: cannot be read ({error.strerror})"
            raise ConfigError(msg, hint="policy_file names a readable TOML file") from None
        policies = parse_policies(content, origin=str(self._path))
        self._check(policies)
        return policies

    def _advise(self) -> None:
        for policy in self._policies:
            if policy.advice:
                fields = {"policy": policy.name, "reason": policy.advice, "hint": "say etag, and leave list_etag out"}
                log_event(_log, logging.WARNING, "policy_outdated", fields)


def parse_policies(content: bytes, *, origin: str) -> Policies:
    """Read what a policy file holds.

    Args:
        content: of the file.
        origin: its name, for messages.

    Raises:
        ConfigError: it says something that is not allowed; the message names the place.
    """
    document = parse_toml(content, origin)
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
            raise ConfigError(f"{place}: formerly {former!r}: cannot have been the name of a policy", hint=_NAME_RULE)
    if not isinstance(name, str) or not POLICY_NAME.fullmatch(name):
        raise ConfigError(f"{place}: name {name!r}: is not the name of a policy", hint=_NAME_RULE)
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
    return f'list_etag has no meaning of its own any longer: listings show the ETag of etag = "{etag.value}"{costs}'


def _texts(value: object, place: str) -> tuple[str, ...]:
    return texts_in(value, place, kind=LIST, example='["orders", "eu-*"]')
