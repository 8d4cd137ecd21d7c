"""Which protection each kind of program would get here. What decides is the wrapper's own code."""

from dataclasses import dataclass

from doctor.trial import KilledError, in_child
from wrapper.exec import usable_library
from wrapper.memory import SecretMemory
from wrapper.program import DYNAMIC, RUNG_PTRACE, STATIC, Program, ProtectionError, choose_rung
from wrapper.static.start import probe

_TRIAL_BYTES = 4096


@dataclass(frozen=True)
class Rung:
    """What one kind of program gets.

    Attributes:
        kind: of program.
        way: how secrets reach it, ``preload`` or ``ptrace``; "" when a launch would be refused.
        memory: in which kind of memory they are.
        why: one line.
    """

    kind: str
    way: str
    memory: str
    why: str

    def document(self) -> dict[str, object]:
        """Return it for JSON."""
        return {"kind": self.kind, "rung": self.way or None, "memory": self.memory or None, "why": self.why}


def rungs(require: str, *, new_privileges: bool = False) -> list[Rung]:
    """Try every way and return what each kind of program would get.

    Args:
        require: the floor, one of ``wrapper.settings.REQUIREMENTS``.
        new_privileges: whether programs may gain privileges.
    """
    setuid_gains = ("", "", "--new-privileges: its loader would ignore the library")
    dynamic, static = _tried(DYNAMIC, require), _tried(STATIC, require)
    loader = "its loader loads the library"
    return [
        _row("dynamic, glibc", dynamic, loader),
        _row("dynamic, musl", dynamic, f"{loader}, the same file"),
        _row("static", static, "a short-lived child traces the exec and points envp to the memory"),
        _row(
            "static, as a child",
            static,
            "strongroom-tracer takes the program's place at exec, and leaves nothing behind",
        ),
        _row(
            "capabilities",
            static,
            "of the file: by ptrace and without them, unless root runs it; give ambient ones instead",
        ),
        _row("script", dynamic, "as its interpreter; shown for a dynamic one"),
        _row(
            "setuid",
            setuid_gains if new_privileges else dynamic,
            "runs without the bit's effect: run sets no_new_privs",
        ),
    ]


def _row(kind: str, tried: tuple[str, str, str], why: str) -> Rung:
    way, memory, refused = tried
    return Rung(kind, way, memory, refused or why)


def _tried(linkage: str, require: str) -> tuple[str, str, str]:
    """Return way, memory and, when it is refused, the reason."""
    try:
        tried = in_child(lambda: _try(linkage, require))
    except (OSError, KilledError, RuntimeError) as error:
        return "", "", str(error)
    assert isinstance(tried, list)  # noqa: S101 - what a tuple becomes
    return tried[0], tried[1], tried[2]


def _try(linkage: str, require: str) -> tuple[str, str, str]:
    try:
        way = choose_rung(Program("", [], linkage, f"a {linkage} program"))
        if way == RUNG_PTRACE:
            probe()
        else:
            usable_library()
        memory = SecretMemory(require)
        memory.allocate(_TRIAL_BYTES)
    except ProtectionError as error:
        return "", "", error.message
    return way, memory.rung, ""
