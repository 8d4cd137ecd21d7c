"""``strongroom doctor --attack``: finds or starts the program, learns what to look for, attacks, reports."""

import contextlib
from collections.abc import Mapping, Sequence

from doctor.attack.launch import Launched
from doctor.attack.needles import Needles
from doctor.attack.outcome import Result, not_stopped, stopped
from doctor.attack.run import Row, attack_all, is_root
from doctor.attack.target import Target, look_at, refuse_own, require_proc
from doctor.page import Page
from strongroom.errors import ConfigError
from strongroom.launch.bundle import BUNDLE_URL_PATH, BundleRequest
from strongroom.linux.process import keep_memory_private
from wrapper.fetch.bridge import Bridge
from wrapper.main import read_template
from wrapper.memory import SecretMemory
from wrapper.plan import plan_launch
from wrapper.program import ProtectionError
from wrapper.settings import WrapperSettings

_SHOWN_RESULTS = {Result.STOPPED: "stopped", Result.NOT_STOPPED: "NOT stopped", Result.NOT_APPLICABLE: "not applicable"}


class Report:
    """What came of all attacks on one program.

    Attributes:
        target: the program.
        values: how many values could be looked for.
        rows: the attacks.
    """

    def __init__(self, target: Target, values: int, rows: list[Row]) -> None:
        self.target = target
        self.values = values
        self.rows = rows
        self.hints: list[str] = []

    @property
    def is_good(self) -> bool:
        """Whether every attack was stopped that the threat model claims to stop."""
        return not any(row.outcome.result is Result.NOT_STOPPED and not row.outcome.is_known for row in self.rows)

    def document(self) -> dict[str, object]:
        """Return it for JSON."""
        target = self.target
        return {
            "ok": self.is_good,
            "target": {
                "pid": target.pid,
                "uid": target.uid,
                "name": target.name,
                "memory": target.kind or None,
                "memory_bytes": sum(region.end - region.start for region in target.regions),
            },
            "values_known": self.values,
            "attacks": [row.document() for row in self.rows],
        }

    def render(self, page: Page) -> str:
        """Return it for a person."""
        target = self.target
        size = sum(region.end - region.start for region in target.regions) >> 10
        seen = f"{size} KiB of {target.kind} memory" if target.regions else "no secret memory to be seen"
        lines = [
            page.heading(f"process {target.pid}: {target.name}"),
            f"uid {target.uid}, {seen}, values to look for: {self.values}",
            "",
        ]
        table: list[tuple[str, Sequence[str]]] = [("", ("ATTACK", "AS", "RESULT", "WHAT IT MEANS"))]
        for row in self.rows:
            shown = _SHOWN_RESULTS[row.outcome.result]
            table.append((_kind(row), (row.attack.title, row.attacker.title, shown, row.outcome.meaning)))
        return "\n".join([*lines, *page.table(table), "", *self._summary(page), ""])

    def _summary(self, page: Page) -> list[str]:
        kinds = [_kind(row) for row in self.rows]
        lines = [f"{page.mark('ok')} {kinds.count('ok')} stopped"]
        if "known" in kinds:
            lines.append(f"{page.mark('known')} {kinds.count('known')} not stopped, as docs/threat-model.md says")
        if "problem" in kinds:
            lines.append(f"{page.mark('problem')} {kinds.count('problem')} not stopped that should have been")
        if not is_root():
            lines.append(page.hint("hint: as root, root's attacks are tried too"))
        return lines + [page.hint(f"hint: {hint}") for hint in self.hints]


def _kind(row: Row) -> str:
    if row.outcome.result is Result.STOPPED:
        return "ok"
    if row.outcome.result is Result.NOT_APPLICABLE:
        return "note"
    return "known" if row.outcome.is_known else "problem"


def attack_process(pid: int, settings: WrapperSettings, environ: Mapping[str, str]) -> Report:
    """Attack a process that runs.

    Raises:
        StrongroomError: it must not or cannot be attacked, or the values of the references cannot be had.
    """
    require_proc()
    refuse_own(pid)
    keep_memory_private()
    target = look_at(pid)
    needles = _fetched(settings, environ) or _room_for(target, settings)
    made = Report(target, 0, attack_all(target, needles))
    made.values = len(needles)  # now, because the attacks may have found some
    made.hints = _better_targets(target)
    return made


def _better_targets(target: Target) -> list[str]:
    """Say which children have secret memory when the program itself, say a supervisor, has none."""
    hints = []
    for child in target.descendants if target.mappings and not target.regions else []:
        with contextlib.suppress(ConfigError):  # it has ended
            found = look_at(child)
            if found.regions:
                hints.append(f"its child {child} ({found.name}) has secret memory: strongroom doctor --attack {child}")
    return hints


def attack_command(
    flags: list[str], command: list[str], settings: WrapperSettings, environ: Mapping[str, str]
) -> Report:
    """Start a command through the wrapper and attack it; it is ended afterwards.

    Raises:
        StrongroomError: it did not start, or the values of its references cannot be had.
    """
    require_proc()
    if not plan_launch(environ, read_template).request.entries and "STRONGROOM_FROM_PATH" not in environ:
        msg = "the environment refers to no secrets, so there is nothing to attack"
        raise ConfigError(msg, hint="set a reference, such as DB_PASSWORD=bao:kv/shop/db#password")
    with Launched([*flags, "--", *command]) as launched:
        keep_memory_private()
        target = look_at(launched.pid)
        needles = _fetched(settings, environ) or _room_for(target, settings)
        rows = attack_all(target, needles)
        values = len(needles)
        ending = launched.crash(target)
    return Report(target, values, [_with_crash(row, ending) for row in rows])


def _with_crash(row: Row, ending: str) -> Row:
    if row.attack.name != "crash" or not ending:
        return row
    meaning = f"{row.outcome.meaning}; ended by SIGABRT: {ending}"
    return Row(row.attack, row.attacker, stopped(meaning) if ending == "no core" else not_stopped(meaning))


def _fetched(settings: WrapperSettings, environ: Mapping[str, str]) -> Needles | None:
    """Fetch the values of the references in this process's environment, as a launch would; None when there are none."""
    request = plan_launch(environ, read_template).request
    entries = [entry for entry in request.entries if not entry.as_file]  # files are no variables
    if not entries and not request.from_paths:
        return None
    if not settings.bridge:
        msg = "STRONGROOM_BRIDGE is not set, and the environment refers to secrets"
        raise ConfigError(msg, hint="set it, or take the references out of the environment")
    memory = SecretMemory(settings.require)
    variables = BundleRequest(entries, request.from_paths, request.exclude)
    Bridge(settings).fetch(BUNDLE_URL_PATH, variables, memory.receive)
    return Needles(memory)


def _room_for(target: Target, settings: WrapperSettings) -> Needles:
    """Return room for what code injection will find; without room the searches have nothing to look for."""
    size = max((region.end - region.start for region in target.regions), default=0)
    if size:
        with contextlib.suppress(ProtectionError):
            memory = SecretMemory(settings.require)
            memory.allocate(size)
            return Needles(memory)
    return Needles()
