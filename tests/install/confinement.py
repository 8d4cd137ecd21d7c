"""What a unit takes away from its service, taken away as systemd does it: between fork and exec."""

import ctypes
import os
import pwd
import re
import resource
import subprocess
from pathlib import Path
from struct import pack

from tests.install.unit_file import Unit

_HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
_CLONE_NEWNS = 0x20000
_PR_SET_NO_NEW_PRIVS, _PR_CAPBSET_DROP, _PR_SET_MDWE, _PR_SET_SECCOMP = 38, 24, 65, 22
_LAST_CAPABILITY = 40
_FILTER_MODE = 2
_ALLOW, _ERRNO, _EPERM = 0x7FFF0000, 0x00050000, 1
_EAFNOSUPPORT = 97
_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
_LIMITS = {
    "LimitCORE": resource.RLIMIT_CORE,
    "LimitMEMLOCK": resource.RLIMIT_MEMLOCK,
    "LimitNOFILE": resource.RLIMIT_NOFILE,
}
_SOCKET = 41
_libc = ctypes.CDLL(None, use_errno=True)


class Confinement:
    """Made before the fork, because it reads files and asks systemd-analyze; ``apply`` is for the child."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._user = pwd.getpwnam(unit.one("User", "root"))
        self._filter = _system_calls(unit) if unit.has("SystemCallFilter") else b""

    def apply(self) -> None:
        """Give up what the unit says."""
        unit = self._unit
        if unit.one("ProtectSystem") == "strict":
            _checked(_libc.unshare(_CLONE_NEWNS))
            for command in _mounts(unit):
                subprocess.run(command, check=True)
        for name, limit in _LIMITS.items():
            if unit.has(name):
                # Where this machine is a container, no more may be had than it was given.
                most = resource.getrlimit(limit)[1]
                value = int(unit.one(name).replace("M", "000000"))
                value = value if most == resource.RLIM_INFINITY else min(value, most)
                resource.setrlimit(limit, (value, value))
        os.umask(int(unit.one("UMask", "0022"), 8))
        if unit.has("CapabilityBoundingSet"):
            for capability in range(_LAST_CAPABILITY + 1):
                _checked(_libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0))
        os.initgroups(self._user.pw_name, self._user.pw_gid)
        os.setgid(self._user.pw_gid)
        os.setuid(self._user.pw_uid)
        if unit.is_on("NoNewPrivileges"):
            _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        if unit.is_on("MemoryDenyWriteExecute"):
            _checked(_libc.prctl(_PR_SET_MDWE, 1, 0, 0, 0))
        if self._filter:
            _load(self._filter)


def _mounts(unit: Unit) -> list[list[str]]:
    logs = [f"/var/log/{name}" for name in unit.all("LogsDirectory")]
    proc = [
        f"hidepid={unit.one('ProtectProc', 'default')}",
        *(["subset=pid"] if unit.one("ProcSubset") == "pid" else []),
    ]
    return [
        ["mount", "--make-rprivate", "/"],
        *(["mount", "--bind", path, path] for path in logs),
        ["mount", "-t", "proc", "-o", ",".join(proc), "proc", "/proc"],
        *([["mount", "-t", "tmpfs", "-o", "mode=1777", "tmp", "/tmp"]] if unit.is_on("PrivateTmp") else []),
        *([["mount", "-t", "tmpfs", "-o", "ro,mode=000", "none", "/root"]] if unit.is_on("ProtectHome") else []),
        ["mount", "-o", "remount,bind,ro", "/run"],
        ["mount", "-o", "remount,bind,ro", "/"],
    ]


def _system_calls(unit: Unit) -> bytes:
    """Return a filter (bpf_common.h, seccomp.h) of the calls and address families that a unit leaves."""
    numbers = dict(re.findall(r"#define __NR_(\w+) (\d+)", _HEADER.read_text()))
    allowed: set[str] = set()
    for value in unit.all("SystemCallFilter"):
        names = {name for group in value.lstrip("~").split() for name in _members(group)}
        allowed = allowed - names if value.startswith("~") else allowed | names
    program = [pack("HBBI", 0x20, 0, 0, 0)]  # load the number
    families = [_FAMILIES[name] for name in unit.one("RestrictAddressFamilies").split()]
    if families:
        body = [pack("HBBI", 0x20, 0, 0, 16)]  # load the first argument
        for family in families:
            body += [pack("HBBI", 0x15, 0, 1, family), pack("HBBI", 0x06, 0, 0, _ALLOW)]
        body.append(pack("HBBI", 0x06, 0, 0, _ERRNO | _EAFNOSUPPORT))
        program += [pack("HBBI", 0x15, 0, len(body), _SOCKET), *body]
    for name in sorted(allowed):
        if name in numbers:
            program += [pack("HBBI", 0x15, 0, 1, int(numbers[name])), pack("HBBI", 0x06, 0, 0, _ALLOW)]
    program.append(pack("HBBI", 0x06, 0, 0, _ERRNO | _EPERM))
    return b"".join(program)


def _members(group: str) -> set[str]:
    if not group.startswith("@"):
        return {group}
    listed = subprocess.run(["systemd-analyze", "syscall-filter", group], capture_output=True, text=True, check=True)
    names = [
        line.strip() for line in listed.stdout.splitlines()[1:] if line.strip() and not line.strip().startswith("#")
    ]
    return {member for name in names for member in (_members(name) if name.startswith("@") else {name})}


def _load(program: bytes) -> None:
    buffer = ctypes.create_string_buffer(program)
    descriptor = ctypes.create_string_buffer(pack("H6xQ", len(program) // 8, ctypes.addressof(buffer)))
    _checked(_libc.prctl(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.c_void_p(ctypes.addressof(descriptor)), 0, 0))


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
