"""A stand-in for systemd where that is not PID 1: ``systemctl VERB UNIT`` of real unit files, and a keeper per service.

It does what a unit says with credentials, user, environment, limits, readiness, watchdog and confinement, and nothing
about dependencies. Runs as root on a machine made for it.
"""

import os
import pwd
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.install.confinement import Confinement
from tests.install.unit_file import Unit

STATE = Path("/run/stand-in")
JOURNAL = Path("/var/log/stand-in")
START_S = 90.0  # DefaultTimeoutStartSec
TICK_S = 0.05


def main(words: list[str]) -> int:
    verb, *rest = words
    names = [word.removesuffix(".service") for word in rest if not word.startswith("-")]
    if verb == "daemon-reload":
        return 0
    if verb == "enable" and "--now" in rest:
        verb = "start"
    elif verb == "disable" and "--now" in rest:
        verb = "stop"
    return max(_VERBS[verb](name) for name in names)


def start(name: str) -> int:
    """Start a service, and wait until it is ready."""
    Unit(name)  # refuses what it does not know
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.close(reading)
            with JOURNAL.joinpath(name).open("ab", buffering=0) as journal:
                for descriptor in (1, 2):
                    os.dup2(journal.fileno(), descriptor)
            keep(Unit(name), writing)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        readable, _, _ = select.select([answer], [], [], START_S)
        said = answer.readline().strip() if readable else "a timeout was exceeded"
    if said != "ready":
        sys.stderr.write(f"Job for {name}.service failed: {said}\n{JOURNAL.joinpath(name).read_text()[-2000:]}\n")
        return 1
    return 0


def stop(name: str) -> int:
    os.kill(_pid(name, "keeper"), signal.SIGTERM)
    while (STATE / f"{name}.main").exists():
        time.sleep(TICK_S)
    return 0


def restart(name: str) -> int:
    return stop(name) or start(name)


def reload(name: str) -> int:
    environ = {"PATH": os.defpath, "MAINPID": str(_pid(name, "main"))}
    return subprocess.run(Unit(name).command("ExecReload"), check=False, env=environ).returncode


def is_active(name: str) -> int:
    active = (STATE / f"{name}.main").exists()
    say("active" if active else "inactive")
    return 0 if active else 3


_VERBS = {"start": start, "stop": stop, "restart": restart, "reload": reload, "is-active": is_active}


def keep(unit: Unit, report: int) -> None:
    """Be the keeper of a service: start it, listen to it, watch it, stop it."""
    Keeper(unit, report).run()
    os._exit(0)


class Keeper:
    """What stands between a service and systemctl, until the service has ended."""

    def __init__(self, unit: Unit, report: int) -> None:
        self._unit = unit
        self._report = report
        STATE.joinpath(f"{unit.name}.keeper").write_text(str(os.getpid()))
        self._stopping_since = 0.0
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        address = Path(f"/run/notify-{unit.name}")
        address.unlink(missing_ok=True)
        self._notify.bind(str(address))
        address.chmod(0o666)
        self._watchdog_s = float(unit.one("WatchdogSec", "0"))
        self._service = subprocess.Popen(
            unit.command("ExecStart"),
            env=self._environ(str(address)),
            cwd="/",
            stdin=subprocess.DEVNULL,
            preexec_fn=Confinement(unit).apply,  # noqa: PLW1509 - there are no threads here
        )
        signal.signal(signal.SIGTERM, self._stop)
        STATE.joinpath(f"{unit.name}.main").write_text(str(self._service.pid))
        self._alive_at = time.monotonic()
        self._is_ready = False
        if unit.one("Type") != "notify":
            self._ready()

    def run(self) -> None:
        while self._service.poll() is None:
            readable, _, _ = select.select([self._notify], [], [], TICK_S)
            if readable:
                self._hear()
            now = time.monotonic()
            is_silent = self._watchdog_s and self._is_ready and now - self._alive_at > self._watchdog_s
            stop_s = float(self._unit.one("TimeoutStopSec", "90"))
            if is_silent or (self._stopping_since and now - self._stopping_since > stop_s):
                say(f"{self._unit.name}: killed, since it {'hangs' if is_silent else 'does not stop'}")
                self._service.kill()
        say(f"{self._unit.name}: ended with status {self._service.returncode}")
        STATE.joinpath(f"{self._unit.name}.main").unlink()
        if not self._is_ready:
            os.write(self._report, f"it ended with status {self._service.returncode}\n".encode())

    def _environ(self, address: str) -> dict[str, str]:
        unit = self._unit
        user = pwd.getpwnam(unit.one("User", "root"))
        _logs(unit, user)
        environ = {"PATH": os.defpath, "LANG": "C.UTF-8", "USER": user.pw_name} | unit.environment()
        if unit.one("Type") == "notify":
            environ["NOTIFY_SOCKET"] = address
        if self._watchdog_s:
            environ["WATCHDOG_USEC"] = str(int(self._watchdog_s * 1_000_000))
        return environ | _credentials(unit, user)

    def _hear(self) -> None:
        message, ancillary, _, _ = self._notify.recvmsg(4096, 64)
        if int.from_bytes(ancillary[0][2][:4], sys.byteorder) != self._service.pid:
            return  # NotifyAccess=main
        self._alive_at = time.monotonic()
        if b"READY=1" in message.splitlines() and not self._is_ready:
            self._ready()

    def _ready(self) -> None:
        self._is_ready = True
        os.write(self._report, b"ready\n")

    def _stop(self, *_: object) -> None:
        self._stopping_since = time.monotonic()
        self._service.terminate()


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _credentials(unit: Unit, user: pwd.struct_passwd) -> dict[str, str]:
    loaded = unit.loaded_credentials()
    if not loaded:
        return {}
    unit.credentials.mkdir(parents=True, exist_ok=True)
    unit.credentials.chmod(0o500)
    os.chown(unit.credentials, user.pw_uid, user.pw_gid)
    for name, source in loaded.items():
        target = unit.credentials / name
        target.unlink(missing_ok=True)
        target.write_bytes(source.read_bytes())
        target.chmod(0o400)
        os.chown(target, user.pw_uid, user.pw_gid)
    return {"CREDENTIALS_DIRECTORY": str(unit.credentials)}


def _logs(unit: Unit, user: pwd.struct_passwd) -> None:
    for name in unit.all("LogsDirectory"):
        folder = Path("/var/log") / name
        folder.mkdir(exist_ok=True)
        folder.chmod(int(unit.one("LogsDirectoryMode", "0755"), 8))
        os.chown(folder, user.pw_uid, user.pw_gid)


def _pid(name: str, what: str) -> int:
    return int(STATE.joinpath(f"{name}.{what}").read_text())


if __name__ == "__main__":
    for directory in (STATE, JOURNAL):
        directory.mkdir(exist_ok=True)
    sys.exit(main(sys.argv[1:]))
