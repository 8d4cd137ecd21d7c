"""What one probe found. Pure."""

from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """What a finding means for ``strongroom run``."""

    OK = "ok"
    NOTE = "note"  # worth knowing; launches work
    WARNING = "warning"  # launches work, and protect less than they could
    PROBLEM = "problem"  # launches fail, or are not protected as --require demands


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: what was probed.
        status: what it means.
        says: what was found.
        hint: what to change; nothing when there is nothing to do.
    """

    name: str
    status: Status
    says: str
    hint: str = ""

    def document(self) -> dict[str, str]:
        """Return it for JSON."""
        return {"name": self.name, "status": self.status.value, "says": self.says, "hint": self.hint}
