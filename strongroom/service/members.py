"""TOML files of operators, and what a table in them may hold: one row for each member. Pure.

By its row a member is checked, and documented: reference pages are made of the same rows. Values are checked by whoever
reads them.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from strongroom.errors import ConfigError

_PLACE = re.compile(r"\(at [a-z0-9, ]*\)")  # in a message of tomllib

TEXTS = "text, or list of texts"
LIST = "list of texts"
TEXT = "text"
TABLES = "tables"


@dataclass(frozen=True)
class Member:
    """One member of a table.

    Attributes:
        name: as it is written.
        kind: what its value is.
        meaning: what it says, in a few words.
        default: what counts where it is left out, as it would be written; None where it must be there.
        outdated: it is understood and not to be written any longer.
    """

    name: str
    kind: str
    meaning: str
    default: str | None = None
    outdated: bool = False


def require_members(table: object, members: Sequence[Member], place: str) -> Mapping[str, object]:
    """Return a table if it has all members that it must have, and none that is not known.

    Args:
        table: what the file holds there.
        members: the rows.
        place: where it stands, for messages.

    Raises:
        ConfigError: it is not so; the message names the member.
    """
    names = [member.name for member in members if not member.outdated]
    listed = f"its members are {', '.join(names)}"
    if not isinstance(table, dict):
        raise ConfigError(f"{place}: must be a table", hint=listed)
    unknown = sorted(table.keys() - {member.name for member in members})
    if unknown:
        near = nearest(unknown[0], names)
        msg = f"{place}: {', '.join(unknown)}: unknown"
        raise ConfigError(msg, hint=f"did you mean {near}? {listed}" if near else listed)
    for member in members:
        if member.default is None and member.name not in table:
            raise ConfigError(f"{place}: {member.name}: is missing", hint=f"it says {member.meaning}")
    return table


def parse_toml(content: str | bytes, origin: str, *, may_hold_secrets: bool = False) -> dict[str, Any]:
    """Read a file.

    Args:
        content: of the file.
        origin: its name, for messages.
        may_hold_secrets: so the message has only the place, since the decoder may quote what it stumbled over.

    Raises:
        ConfigError: it is not TOML.
    """
    try:
        return tomllib.loads(content.decode() if isinstance(content, bytes) else content)
    except UnicodeDecodeError:
        what = ": it is not UTF-8"
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        place = _PLACE.search(str(error))
        what = f" {place[0]}" if place else ""
        if not may_hold_secrets:
            what = f": {error}"
    raise ConfigError(f"{origin}: is not TOML{what}", hint="see https://toml.io")


def require_tables_only(document: Mapping[str, object], names: Sequence[str], origin: str, what: str) -> None:
    """Return if a file holds nothing but some lists of tables.

    Args:
        document: the file.
        names: of the lists.
        origin: its name, for messages.
        what: the kind of file.

    Raises:
        ConfigError: it holds something else.
    """
    unknown = document.keys() - set(names)
    if unknown:
        msg = f"{origin}: {', '.join(sorted(unknown))}: unknown"
        raise ConfigError(msg, hint=f"{what} holds {' and '.join(f'[[{name}]]' for name in names)} tables only")


def tables_in(table: Mapping[str, object], name: str, place: str) -> list[object]:
    """Return the tables of a list, none where there is no list. That each is a table, ``require_members`` sees to.

    Raises:
        ConfigError: it is not a list.
    """
    items = table.get(name, [])
    if not isinstance(items, list):
        raise ConfigError(f"{place}: {name}: must be a list of tables", hint=f"write [[{name}]] with two brackets")
    return items


def texts_in(
    value: object, place: str, *, example: str, kind: str = TEXTS, may_be_empty: bool = False
) -> tuple[str, ...]:
    """Return the strings of a member of kind TEXTS or LIST.

    Args:
        value: of the member.
        place: where it is, for messages.
        example: how it could be written.
        kind: that of the member.
        may_be_empty: whether the caller says by itself what is wrong with a list of none.

    Raises:
        ConfigError: it is something else.
    """
    texts = [value] if isinstance(value, str) and kind == TEXTS else value
    if not isinstance(texts, list) or not (texts or may_be_empty) or not all(isinstance(text, str) for text in texts):
        msg = f"{place}: must be {'a string or ' if kind == TEXTS else ''}a list of texts"
        raise ConfigError(msg, hint=f"write for example {example}")
    return tuple(texts)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return what somebody may have meant who wrote a name that is not known: the one that resembles it most, or ""."""
    return next(iter(get_close_matches(name, list(known), n=1)), "")
