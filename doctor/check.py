"""``strongroom doctor`` without ``--attack``: all probes, and what they mean for launches."""

import time

from doctor.installation import probe_installation
from doctor.machine import probe_machine
from doctor.page import Finding, Page, Status
from doctor.rungs import Rung, rungs
from wrapper.settings import WrapperSettings

_KINDS = {Status.OK: "ok", Status.NOTE: "note", Status.WARNING: "known", Status.PROBLEM: "problem"}


class Diagnosis:
    """What was found.

    Attributes:
        require: the floor that it was judged by.
        machine: findings about the machine.
        installation: findings about what is installed and set.
        rungs: what each kind of program gets.
    """

    def __init__(self, require: str, machine: list[Finding], installation: list[Finding], table: list[Rung]) -> None:
        self.require = require
        self.machine = machine
        self.installation = installation
        self.rungs = table

    @property
    def is_good(self) -> bool:
        """Whether everything that ``strongroom run`` needs is there."""
        return all(finding.status is not Status.PROBLEM for finding in (*self.machine, *self.installation))

    def document(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "ok": self.is_good,
            "require": self.require,
            "machine": [finding.document() for finding in self.machine],
            "installation": [finding.document() for finding in self.installation],
            "rungs": [rung.document() for rung in self.rungs],
        }

    def render(self, page: Page) -> str:
        """Return it for a person."""
        lines = [page.heading("machine"), *_rows(page, self.machine), ""]
        lines += [page.heading("installation"), *_rows(page, self.installation), ""]
        lines.append(page.heading(f"what a program gets with --require {self.require}"))
        table: list[tuple[str, tuple[str, ...]]] = []
        for rung in self.rungs:
            how = f"{rung.way} + {rung.memory}" if rung.way else "refused"
            table.append(("ok" if rung.way else "problem", (rung.kind, how, rung.why)))
        lines += [*page.table(table), ""]
        problems = sum(finding.status is Status.PROBLEM for finding in (*self.machine, *self.installation))
        verdict = "everything that strongroom run needs is here"
        lines.append(verdict if self.is_good else f"{problems} problem{'s' if problems > 1 else ''}")
        return "\n".join([*lines, ""])


def _rows(page: Page, findings: list[Finding]) -> list[str]:
    rows: list[tuple[str, tuple[str, ...]]] = []
    for finding in findings:
        rows.append((_KINDS[finding.status], (finding.name, finding.says)))
        if finding.hint:
            rows.append(("", ("", f"hint: {finding.hint}")))
    return page.table(rows)


def diagnose(settings: WrapperSettings) -> Diagnosis:
    """Carry out every probe."""
    machine = list(probe_machine(settings))
    table = rungs(settings.require, new_privileges=settings.new_privileges)
    installation = list(probe_installation(settings, now=time.time()))  # the last: it closes this process
    return Diagnosis(settings.require, machine, installation, table)
