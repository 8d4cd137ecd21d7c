"""Carries out every attack as every attacker, each attacker a process of its own that has become who it plays."""

import errno
import os
from dataclasses import dataclass

from doctor.attack import debugger, descriptors, reading, remains
from doctor.attack.needles import Needles
from doctor.attack.outcome import Attack, NotTriedError, Outcome, Result, Situation, not_applicable, stopped
from doctor.attack.target import Target
from doctor.machine import status_field
from doctor.trial import KilledError, in_child
from strongroom import linux
from strongroom.errors import PeerError
from strongroom.linux import probing

_CAP_SYS_PTRACE = 1 << 19  # linux/capability.h

INJECTION = Attack("injection", "code injection by ptrace", debugger.inject)
ATTACKS = (
    Attack("environ", "/proc/PID/environ", reading.read_environ),
    Attack("cmdline", "/proc/PID/cmdline", reading.read_cmdline),
    Attack("children-environ", "environ of its children", reading.read_children),
    Attack("maps", "/proc/PID/maps, smaps", reading.read_maps),
    Attack("mem", "/proc/PID/mem: the secret memory", reading.read_mem),
    Attack("process-vm-readv", "process_vm_readv: the secret memory", reading.call_process_vm_readv),
    Attack("peekdata", "ptrace PEEKDATA: the secret memory", debugger.peek),
    Attack("memory-search", "search of all other memory", reading.search_memory),
    Attack("fd", "opening /proc/PID/fd", descriptors.open_links),
    Attack("map-files", "opening /proc/PID/map_files", descriptors.open_map_files),
    Attack("pidfd-getfd", "pidfd_getfd", descriptors.take_descriptors),
    Attack("gdb", "gdb: x at the secret memory", debugger.examine_with_gdb),
    Attack("gdb-core", "gdb: core file", debugger.dump_with_gdb),
    Attack("crash", "core dump at a crash", remains.crash, is_about_machine=True),
    Attack("swap", "swap", remains.swap, is_about_machine=True),
    Attack("ld-preload", "LD_PRELOAD", remains.preload, is_about_machine=True),
    INJECTION,
)


@dataclass(frozen=True)
class Attacker:
    """Who attacks.

    Attributes:
        name: stable, for programs: root, same-user or other-user.
        uid: the user.
        title: for people.
    """

    name: str
    uid: int
    title: str


@dataclass(frozen=True)
class Row:
    """One attack by one attacker, and what came of it."""

    attack: Attack
    attacker: Attacker
    outcome: Outcome

    def document(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "attack": self.attack.name,
            "attacker": self.attacker.name,
            "uid": self.attacker.uid,
            "result": self.outcome.result.value,
            "known": self.outcome.is_known,
            "meaning": self.outcome.meaning,
        }


def is_root() -> bool:
    """Whether this process may attack everybody."""
    return os.geteuid() == 0 and bool(int(status_field("self", "CapEff") or "0", 16) & _CAP_SYS_PTRACE)


def attackers(target: Target) -> list[Attacker]:
    """Return whom this process can play against a target."""
    if is_root():
        bare = ", no caps" if target.uid == 0 else ""
        return [Attacker("root", 0, "root"), Attacker("same-user", target.uid, f"uid {target.uid}{bare}")]
    own = os.geteuid()
    return [Attacker("same-user" if own == target.uid else "other-user", own, f"uid {own}")]


def attack_all(target: Target, needles: Needles) -> list[Row]:
    """Carry out everything and return a row for each attack and attacker, attack by attack.

    Raises:
        PeerError: the target ended meanwhile.
    """
    rows: list[Row] = []
    for number, attacker in enumerate(attackers(target)):
        chosen = [attack for attack in ATTACKS if number == 0 or not attack.is_about_machine]
        if not len(needles):  # the one that can find out what the others are to look for comes first
            chosen.sort(key=lambda attack: attack is not INJECTION)
        outcomes = _as_attacker(attacker, target, needles, chosen)
        rows += [Row(attack, attacker, outcome) for attack, outcome in zip(chosen, outcomes, strict=True)]
        target.require_running()
    return sorted(rows, key=lambda row: ATTACKS.index(row.attack))


def _as_attacker(attacker: Attacker, target: Target, needles: Needles, attacks: list[Attack]) -> list[Outcome]:
    situation = Situation(target, needles, attacker.name == "root")

    def run() -> list[tuple[str, str, bool]]:
        _become(attacker, target)
        outcomes = [_carry_out(attack, situation) for attack in attacks]
        return [(outcome.result.value, outcome.meaning, outcome.is_known) for outcome in outcomes]

    try:
        answers = in_child(run)
    except KilledError as error:
        msg = f"the process that attacked as {attacker.title} was {error}"
        raise PeerError(msg, hint="the machine may be short of memory; try again") from None
    except OSError as error:
        msg = f"process {target.pid} cannot be attacked as {attacker.title}: {error.strerror}"
        raise PeerError(msg, hint="is it still running, and is this root or its user?") from None
    assert isinstance(answers, list)  # noqa: S101 - what run() returns
    return [Outcome(Result(result), meaning, is_known) for result, meaning, is_known in answers]


def _become(attacker: Attacker, target: Target) -> None:
    """Give up what the attacker does not have; this process is a child that ends soon."""
    if attacker.name == "root" or os.geteuid() != 0:
        return
    os.setgroups([])
    os.setresgid(target.gid, target.gid, target.gid)
    os.setresuid(attacker.uid, attacker.uid, attacker.uid)
    linux.set_no_new_privileges()  # or gdb, as uid 0, would get capabilities back
    probing.drop_capabilities()


def _carry_out(attack: Attack, situation: Situation) -> Outcome:
    try:
        return attack.run(situation)
    except NotTriedError as error:
        return not_applicable(str(error))
    except PermissionError as error:
        return stopped(f"refused: {error.strerror or 'not permitted'}")
    except OSError as error:
        if error.errno in {errno.ESRCH, errno.ENOENT}:
            situation.target.require_running()
        return not_applicable(f"failed: {error.strerror}")
