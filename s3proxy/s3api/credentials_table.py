"""The text of a credentials file: TOML to a ``Credentials`` table. Pure.

    [[credential]]
    access_key_id = "SHOPAPPLICATION"
    secret_key_file = "/run/secrets/shop"        # or secret_key = "…"

    [[credential.grant]]
    buckets = ["shop", "shop-*"]                 # * stands for anything
    prefixes = ["invoices/", "orders/"]          # what keys begin with; all keys when left out
    rights = ["read", "write", "list"]           # read, write, list, delete, admin

    [[anonymous]]                                # what requests without a signature may do: read and list
    buckets = ["public"]
    rights = ["read"]

Whatever is unknown or malformed is refused: a right that was misspelt is not a right that was meant to be missing.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from s3proxy.s3api.credentials import ANONYMOUS, Credential, Credentials, Grant, Principal, Right
from strongroom.errors import ConfigError
from strongroom.secret import Secret
from strongroom.service.members import (
    TABLES,
    TEXT,
    TEXTS,
    Member,
    parse_toml,
    require_members,
    require_tables_only,
    tables_in,
    texts_in,
)

_ACCESS_KEY_ID: Final = re.compile(r"[A-Za-z0-9_.-]{3,128}")
_MIN_SECRET_BYTES: Final = 16
_MAX_SECRET_BYTES: Final = 1024
_RIGHTS: Final = {right.value: right for right in Right}
_ANONYMOUS_RIGHTS: Final = frozenset({Right.READ, Right.LIST})
GRANT: Final = (
    Member("buckets", TEXTS, "patterns of bucket names; `*` stands for anything"),
    Member("prefixes", TEXTS, "what keys must begin with; no patterns", default='[""], all keys'),
    Member("rights", TEXTS, "what may be done there: the table of rights tells what each allows"),
)
"""The members of a ``[[credential.grant]]``, and of an ``[[anonymous]]``."""
CREDENTIAL: Final = (
    Member("access_key_id", TEXT, "the client's access key id: 3 to 128 letters, digits, dots, dashes or underscores"),
    Member("secret_key_file", TEXT, "file with the client's secret key, of 16 to 1024 bytes", default="secret_key"),
    Member("secret_key", TEXT, "the secret key itself, instead of secret_key_file", default="secret_key_file"),
    Member("grant", TABLES, "what the client may do", default="nothing is granted"),
)
"""The members of a ``[[credential]]``."""

ReadSecret = Callable[[str], bytes]


def parse_credentials(text: str, *, origin: str, read_secret: ReadSecret) -> Credentials:
    """Read a table of credentials.

    Args:
        text: the content of the file.
        origin: its name, for messages.
        read_secret: returns the content of a file of a secret key.

    Raises:
        ConfigError: it is malformed; the message names the place and never a secret.
    """
    document = parse_toml(text, origin, may_hold_secrets=True)
    require_tables_only(document, ["credential", "anonymous"], origin, "a credentials file")
    if not document.get("credential") and not document.get("anonymous"):
        # As it is while somebody writes it. Nobody could do anything, so it is hardly meant.
        msg = f"{origin}: holds no [[credential]] and no [[anonymous]] table"
        raise ConfigError(msg, hint="give each client one; to let nobody in, stop the proxy")
    by_id: dict[str, Credential] = {}
    for number, item in enumerate(tables_in(document, "credential", origin), 1):
        credential = _parse_credential(item, f"{origin}: credential {number}", read_secret)
        if credential.access_key_id in by_id:
            msg = f"{origin}: credential {number}: {credential.access_key_id} stands twice"
            raise ConfigError(msg, hint="give each access key one table; it may hold many grants")
        by_id[credential.access_key_id] = credential
    anonymous = _parse_grants(tables_in(document, "anonymous", origin), f"{origin}: anonymous")
    if any(grant.rights - _ANONYMOUS_RIGHTS for grant in anonymous):
        msg = f"{origin}: anonymous: can be given read and list only"
        raise ConfigError(msg, hint="make a credential for anyone who writes")
    return Credentials(by_id, Principal(ANONYMOUS, anonymous))


def _parse_credential(table: object, place: str, read_secret: ReadSecret) -> Credential:
    item = require_members(table, CREDENTIAL, place)
    access_key_id = item.get("access_key_id")
    if not isinstance(access_key_id, str) or not _ACCESS_KEY_ID.fullmatch(access_key_id) or access_key_id == ANONYMOUS:
        msg = f"{place}: access_key_id: must be 3 to 128 letters, digits, dots, dashes or underscores"
        raise ConfigError(msg, hint="invent a name; it is not secret")
    grants = _parse_grants(tables_in(item, "grant", place), f"{place}: grant")
    return Credential(access_key_id, _secret_key(item, place, read_secret), Principal(access_key_id, grants))


def _secret_key(item: Mapping[str, object], place: str, read_secret: ReadSecret) -> Secret:
    given = [item[name] for name in ("secret_key", "secret_key_file") if name in item]
    if len(given) != 1 or not isinstance(given[0], str):
        msg = f"{place}: must have either secret_key or secret_key_file, a string"
        raise ConfigError(msg, hint="name a file that only this process can read")
    value = read_secret(given[0]).strip() if "secret_key_file" in item else given[0].encode()
    if not _MIN_SECRET_BYTES <= len(value) <= _MAX_SECRET_BYTES:
        msg = f"{place}: the secret key must have {_MIN_SECRET_BYTES} to {_MAX_SECRET_BYTES} bytes"
        raise ConfigError(msg, hint="make one with: openssl rand -base64 30")
    return Secret(value)


def _parse_grants(items: list[object], place: str) -> tuple[Grant, ...]:
    return tuple(_parse_grant(item, f"{place} {number}") for number, item in enumerate(items, 1))


def _parse_grant(table: object, place: str) -> Grant:
    item = require_members(table, GRANT, place)
    buckets = _texts(item["buckets"], f"{place}: buckets")
    if not all(buckets):
        raise ConfigError(f"{place}: buckets: holds an empty text", hint='write "*" for all buckets')
    names = _texts(item["rights"], f"{place}: rights")
    if not set(names) <= _RIGHTS.keys():
        msg = f"{place}: rights: {', '.join(sorted(set(names) - _RIGHTS.keys()))}: unknown"
        raise ConfigError(msg, hint=f"the rights are {', '.join(_RIGHTS)}")
    prefixes = _texts(item.get("prefixes", [""]), f"{place}: prefixes")
    if any("*" in prefix for prefix in prefixes):
        raise ConfigError(f"{place}: prefixes: must hold no star", hint="every key that begins with the text is meant")
    return Grant(buckets, prefixes, frozenset(_RIGHTS[name] for name in names))


def _texts(value: object, place: str) -> tuple[str, ...]:
    return texts_in(value, place, example='["shop", "shop-*"]')
