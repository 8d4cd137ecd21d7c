"""What a table of a TOML file may hold: one row for each member, by which it is checked, and documented. Pure.

Values are checked by whoever reads them. Reference pages are made of the same rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from strongroom.errors import ConfigError
from strongroom.nearest import nearest

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
        outdated: it is understood and not to be written any more.
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
        msg = f"{place}: must be a table"
        raise ConfigError(msg, hint=listed)
    unknown = sorted(table.keys() - {member.name for member in members})
    if unknown:
        near = nearest(unknown[0], names)
        msg = f"{place}: {', '.join(unknown)}: unknown"
        raise ConfigError(msg, hint=f"did you mean {near}? {listed}" if near else listed)
    for member in members:
        if member.default is None and member.name not in table:
            msg = f"{place}: {member.name}: is missing"
            raise ConfigError(msg, hint=f"it says {member.meaning}")
    return table
