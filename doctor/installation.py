"""Probes of what has been installed and set: the library, the settings, the certificates, the bridge."""

import json
import os
import secrets
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from doctor.certificate import ClientCertificate, read_client_certificate
from doctor.page import Finding, Status
from doctor.slow import probe_slowness
from doctor.trial import KilledError, in_child
from strongroom.errors import ConfigError, StrongroomError
from strongroom.launch.bundle import PLAN_URL_PATH, BundleRequest
from strongroom.launch.problem import printable
from strongroom.launch.region import encode
from strongroom.linux.process import keep_memory_private
from strongroom.tls import client_context
from strongroom.validity import moment
from wrapper.exec import usable_library
from wrapper.exposure import protections_given_up
from wrapper.fetch.bridge import Bridge
from wrapper.memory import SecretMemory
from wrapper.program import DYNAMIC, ProtectionError, find_program
from wrapper.settings import WrapperSettings

_SOON_S = 24 * 3600
_BRIDGE_TIMEOUT_S = 10.0
_TRIAL_TIMEOUT_S = 30
_VARIABLE = "DOCTOR_CANARY"
_READER = f"""
import os
try:
    shown = open('/proc/self/environ').read()
except PermissionError:  # the library makes processes of other users than root so
    shown = ''
value = os.environ.get({_VARIABLE!r})
print(value, bool(value) and value in shown)
"""


def probe_installation(settings: WrapperSettings, *, now: float) -> Iterator[Finding]:
    """Yield a finding for each part; afterwards this process is not dumpable, and traces no child.

    Args:
        settings: as a launch would have them.
        now: seconds since the epoch.
    """
    library = _library()
    yield library
    if library.status is Status.OK:
        yield _delivery(settings.require)
    yield from _given_up(settings)
    if not settings.bridge:
        yield Finding("certificates", Status.NOTE, "not looked at: STRONGROOM_BRIDGE is not set")
        yield Finding("bridge", Status.NOTE, "not asked: STRONGROOM_BRIDGE is not set", "set it to https://HOST[:PORT]")
        return
    keep_memory_private()  # from here on this process has our private key
    yield from _certificates(settings, now)
    yield _bridge(settings)


def _given_up(settings: WrapperSettings) -> Iterator[Finding]:
    """Yield a warning for each protection that the settings switch off."""
    for name, what in protections_given_up(settings).items():
        yield Finding(f"--{name}", Status.WARNING, what, f"leave out --{name} where nothing needs it")


def _library() -> Finding:
    name = "library"
    try:
        path = usable_library()
    except ProtectionError as error:
        return Finding(name, Status.PROBLEM, error.message, error.hint)
    except OSError as error:
        return Finding(name, Status.PROBLEM, str(error))
    closed = next((part for part in (Path(path), *Path(path).parents) if not _is_open_to_others(part)), None)
    if closed:
        hint = f"chmod a+r{'x' if closed.is_dir() else ''} {closed}, if applications run as another user"
        return Finding(name, Status.NOTE, f"{path}: not for every user, because of {closed}", hint)
    return Finding(name, Status.OK, f"{path}: readable for everybody, on no noexec mount")


def _is_open_to_others(path: Path) -> bool:
    wanted = stat.S_IXOTH if path.is_dir() else stat.S_IROTH
    return bool(path.stat().st_mode & wanted)


def _delivery(require: str) -> Finding:
    """Deliver a made-up value to a program as a launch does, without a bridge."""
    name = "delivery"
    try:
        reader = find_program([sys.executable, "-I", "-S", "-c", _READER], os.environ)
        if reader.linkage != DYNAMIC:
            return Finding(name, Status.NOTE, f"not tried: {reader.binary} is not dynamically linked")
        says = in_child(lambda: _deliver(require, reader.argv))
    except (StrongroomError, OSError, KilledError, RuntimeError) as error:
        return Finding(name, Status.NOTE, f"cannot be tried with {sys.executable or 'this interpreter'}: {error}")
    if says:
        return Finding(name, Status.PROBLEM, str(says), "see the lines on memory and library")
    return Finding(name, Status.OK, "a made-up value reached a program and did not show in its /proc/PID/environ")


def _deliver(require: str, command: list[str]) -> str:
    """Return "" when the value arrived, else what went wrong."""
    value = secrets.token_hex(16)
    image = encode([(_VARIABLE, value.encode())])
    try:
        memory = SecretMemory(require)
        memory.allocate(len(image))[:] = image
        descriptor = memory.seal()
        library = usable_library()
    except StrongroomError as error:
        return error.message
    environ = {_VARIABLE: "", "LD_PRELOAD": library, "STRONGROOM_REGION": f"{memory.rung}:{descriptor}"}
    result = subprocess.run(
        command,
        env=environ,
        pass_fds=[descriptor],
        capture_output=True,
        text=True,
        timeout=_TRIAL_TIMEOUT_S,
        check=False,
    )
    if result.returncode:
        return f"the program ended with status {result.returncode}: {result.stderr.strip()[-200:]}"
    if result.stdout.split() == [value, "True"]:
        return "the value shows in /proc/PID/environ"
    return "" if result.stdout.split() == [value, "False"] else "the program found an empty variable"


def _certificates(settings: WrapperSettings, now: float) -> Iterator[Finding]:
    try:
        client_context(settings.ca, settings.cert, settings.key)
        certificate = read_client_certificate(settings.cert, settings.key)
    except ConfigError as error:
        yield Finding("certificates", Status.PROBLEM, error.message, error.hint)
        return
    yield _validity(settings, certificate, now)
    yield from probe_slowness(settings.ca, settings.cert, certificate)


def _validity(settings: WrapperSettings, certificate: ClientCertificate, now: float) -> Finding:
    name = "certificates"
    left_s = certificate.not_after - now
    ends = moment(certificate.not_after)
    if left_s <= 0:
        return Finding(name, Status.PROBLEM, f"{settings.cert}: ended at {ends}", "issue a new certificate")
    says = f"{certificate.identity}, until {ends}"
    if left_s < _SOON_S:
        return Finding(name, Status.NOTE, f"{says}, which is in {left_s / 3600:.1f} hours")
    return Finding(name, Status.OK, says)


def _bridge(settings: WrapperSettings) -> Finding:
    name = "bridge"
    settings.wait_s, settings.retries = 0.0, 0
    settings.timeout_s = min(settings.timeout_s, _BRIDGE_TIMEOUT_S)
    started = time.monotonic()
    try:
        body = Bridge(settings).fetch_document(PLAN_URL_PATH, BundleRequest([], [], frozenset()))
        answer = json.loads(body)
        identity = answer.get("identity") if isinstance(answer, dict) else None
    except StrongroomError as error:
        return Finding(name, Status.PROBLEM, error.message, error.hint)
    except (ValueError, RecursionError):
        identity = None
    if not identity:
        hint = "are wrapper and bridge of the same version?"
        return Finding(name, Status.PROBLEM, f"{settings.bridge}: its answer is not a plan", hint)
    elapsed_ms = (time.monotonic() - started) * 1000
    return Finding(name, Status.OK, f"{settings.bridge} answers in {elapsed_ms:.0f} ms and sees {printable(identity)}")
