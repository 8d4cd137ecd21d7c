"""The policy file: TOML to a ``Policy``, and keeping up with its changes.

    [[grant]]
    identity = "spiffe://example.org/ns/shop/sa/*"     # a pattern or a list of patterns
    paths = ["kv/shop/*", "kv/common/**"]
    keys = ["*"]                                       # all keys when left out

A broken edit leaves the old policy in force and says so.
"""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bridge.policy import Grant, Policy, make_grant
from strongroom.errors import ConfigError
from strongroom.service import members
from strongroom.service.following import FollowedFile, Read
from strongroom.service.logs import log_event
from strongroom.service.members import TEXTS, Member

_log = logging.getLogger(__name__)
GRANT = (
    Member("identity", TEXTS, "patterns of the SPIFFE identities of callers; the trust domain is written out"),
    Member("paths", TEXTS, "patterns of secret paths, as `bao kv get` takes them: the mount first, without `/data/`"),
    Member("keys", TEXTS, "patterns of keys of these paths", default='["*"]'),
)
"""The members of a ``[[grant]]``."""


def parse_policy(text: str, *, origin: str) -> Policy:
    """Read a policy.

    Args:
        text: the content of the file.
        origin: its name, for messages.

    Raises:
        ConfigError: it is not TOML, has an unknown member, or a grant is malformed; the message names the place.
    """
    document = members.parse_toml(text, origin)
    members.require_tables_only(document, ["grant"], origin, "a policy file")
    grants = members.tables_in(document, "grant", origin)
    return Policy(tuple(_parse_grant(item, f"{origin}: grant {number}") for number, item in enumerate(grants, 1)))


def _parse_grant(item: object, place: str) -> Grant:
    grant = members.require_members(item, GRANT, place)
    try:
        return make_grant(
            identities=_texts(grant["identity"], "identity"),
            paths=_texts(grant["paths"], "paths"),
            keys=_texts(grant.get("keys", ["*"]), "keys"),
        )
    except ConfigError as error:
        raise ConfigError(f"{place}: {error.message}", hint=error.hint) from None


def doubtful_paths(policy: Policy) -> list[str]:
    """Return the patterns of paths whose second part is ``data``, as in the API of the KV engine, version 2."""
    patterns = {glob.pattern for grant in policy.grants for glob in grant.paths}
    return sorted(pattern for pattern in patterns if "/data/" in pattern and pattern.split("/")[1] == "data")


def _texts(value: object, name: str) -> tuple[str, ...]:
    # One that is empty has a message of its own.
    return members.texts_in(value, name, example='["kv/shop/*"]', may_be_empty=True)


def follow_policy(path: Path, *, observe: Callable[[bool], None] = lambda _: None) -> FollowedFile[Policy]:
    """Return the policy in force, which follows its file.

    Args:
        path: the policy file.
        observe: told after each reload whether it succeeded.

    Raises:
        ConfigError: it is missing or broken; at the start there is no older policy to keep.
    """
    return FollowedFile("policy", partial(_read, path), on_new=_note, observe=observe)


def _note(policy: Policy) -> None:
    log_event(_log, logging.INFO, "policy_reloaded", {"grants": len(policy.grants)})


def _read(path: Path, read: Read) -> Policy:
    try:
        text = read(path).decode()
    except FileNotFoundError:
        raise ConfigError(f"{path}: does not exist", hint="name an existing policy file in policy_file") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        msg = f"{path}: cannot be read ({reason})"
        raise ConfigError(msg, hint="make it a text file that the user of the bridge can read") from None
    policy = parse_policy(text, origin=str(path))
    for pattern in doubtful_paths(policy):
        reason = f"{pattern}: its data/ is probably that of OpenBao's API, which no path has here"
        hint = f"write {pattern.replace('/data/', '/', 1)}, unless there is a folder of that name"
        log_event(_log, logging.WARNING, "policy_path_doubtful", {"reason": reason, "hint": hint})
    return policy
