"""Records of bucket keys at rest. ``docs/object-format.md``, section "Keyring".

Where records are kept (objects under a reserved prefix, files, OpenBao KV) is the caller's matter. Nothing in a record
is trusted: that its key belongs to its policy and id is proved by unwrapping it with ``wrapping.associated_data``.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from strongroom.errors import IntegrityError
from strongroom.sealed.header import ID_BYTES
from strongroom.sealed.names import POLICY_NAME
from strongroom.sealed.wrapping import WrappedKey, parse_wrapped

FORMAT: Final = "seg1-key"
_FILE: Final = re.compile(r"[0-9a-f]{32}\.json")


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """The record of a bucket key.

    Attributes:
        policy: whose KEK wraps it.
        key_id: 16 bytes.
        wrapped: the key.
        created: time of its making (RFC 3339, UTC), for people.
        others: members that this version does not know.
    """

    policy: str
    key_id: bytes
    wrapped: WrappedKey
    created: str = ""
    others: Mapping[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the record, from the keyring's root."""
        return record_name(self.policy, self.key_id)

    def rewrapped(self, wrapped: WrappedKey) -> "KeyRecord":
        """Return the record of the same key under another KEK, or another version of it."""
        return replace(self, wrapped=wrapped)

    def encode(self) -> bytes:
        """Return the JSON text."""
        members = {
            "format": FORMAT,
            "policy": self.policy,
            "key_id": self.key_id.hex(),
            "wrapped": base64.b64encode(self.wrapped.encode()).decode("ascii"),
            "created": self.created,
        }
        return json.dumps({**self.others, **members}, indent=1).encode() + b"\n"


_RESTORE = "restore this one record from a backup of system_bucket, under keyring/; leave the others as they are"


def record_name(policy: str, key_id: bytes) -> str:
    """Return the name of a bucket key's record, from the keyring's root."""
    return f"{policy}/{key_id.hex()}.json"


def is_record_name(name: str) -> bool:
    """Return whether ``record_name`` returns this for any key."""
    policy, _, file = name.partition("/")
    return POLICY_NAME.fullmatch(policy) is not None and _FILE.fullmatch(file) is not None


def parse_record(raw: bytes, *, name: str) -> KeyRecord:
    """Read a record.

    Args:
        raw: the JSON text.
        name: what it was found under.

    Raises:
        IntegrityError: it is not a record, or not the one of this name.
    """
    try:
        members = json.loads(raw)
        known = [members.pop(member) for member in ("format", "policy", "key_id", "wrapped")]
        created = members.pop("created", "")
        declared, policy, key_id, wrapped = (_text(value) for value in known)
        record = KeyRecord(
            policy=policy,
            key_id=bytes.fromhex(key_id),
            wrapped=parse_wrapped(base64.b64decode(wrapped, validate=True)),
            created=_text(created),
            others=members,
        )
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError, binascii.Error, IntegrityError) as error:
        msg = f"keyring: {name}: not a record of a bucket key"
        raise IntegrityError(
            msg,
            hint=_RESTORE,
        ) from error
    fits = declared == FORMAT and len(record.key_id) == ID_BYTES and POLICY_NAME.fullmatch(policy)
    if not fits or record.name != name:
        msg = f"keyring: {name}: the record is of another format, or of another key"
        raise IntegrityError(
            msg,
            hint=_RESTORE,
        )
    return record


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return value
