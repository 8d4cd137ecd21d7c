"""Follows docs/install.md on a machine where nothing is installed; ends with 0 if all came as the page says.

usage: tar -C DIR -c bao weed | scripts/fresh-machine python3 -m tests.install.follow

Standard library only, as root. The programs of OpenBao and the store come by stdin.
"""

import os
import ssl
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.install import surroundings
from tests.install.page import PAGE, Step, steps_of
from tests.install.systemctl import JOURNAL

CLONE = PAGE.parents[1]
UPGRADE = "Upgrading without a gap"
_AFTERWARDS = ("reload strongroom-bridge", "reload strongroom-s3proxy@8192", "restart strongroom-bridge")
EXPOSURE = 15  # tenths, of what `systemd-analyze security` rates from 0 to 10
STEP_S = 600.0
END = "end of step "


class Reader:
    """A shell in which one block after the other is run."""

    def __init__(self) -> None:
        self._shell = subprocess.Popen(
            ["bash", "-e", "-o", "pipefail"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=CLONE,
        )

    def export(self, variables: dict[str, str]) -> None:
        self._say("".join(f"export {name}='{value}'\n" for name, value in variables.items()))

    def follow(self, step: Step) -> str:
        """Run a block and return what it printed.

        Raises:
            AssertionError: a command failed, or it printed something else than the page says.
        """
        begin = time.monotonic()
        self._say(f"{step.commands}\nprintf '\\n%s\\n' '{END}'\n")
        assert self._shell.stdout is not None
        output = ""
        for line in self._shell.stdout:
            if line.startswith(END):
                break
            output += line
        else:
            raise AssertionError(f"{step.section}: a command failed\n{step.commands}\n{output}")
        first = step.commands.partition("\n")[0]
        print(f"{time.monotonic() - begin:6.1f} s  {step.section}: {first[:70]}", flush=True)
        unseen = step.unseen(output)
        assert not unseen, f"{step.section}: not seen: {unseen}\n{step.commands}\n{output}"
        return output

    def _say(self, text: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(text)
        self._shell.stdin.flush()


class Traffic:
    """A client that reads an object again and again, each time on a new connection."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._context = ssl.create_default_context(cafile="/etc/strongroom/s3proxy/ca.crt")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.served = 0
        self.failed: list[str] = []
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._stop.is_set():
            try:
                self._read_once()
            except ConnectionResetError:
                self._again()
            except (OSError, AssertionError) as error:
                self._again() if "reset" in str(error) else self.failed.append(repr(error))

    def _again(self) -> None:
        """Try a second time, as S3 clients do after a reset."""
        try:
            self._read_once()
        except (OSError, AssertionError) as error:
            self.failed.append(repr(error))

    def _read_once(self) -> None:
        with urllib.request.urlopen(self._url, timeout=60, context=self._context) as response:
            assert response.read() == b"seven apples\n"
        self.served += 1


def main() -> int:
    surroundings.PLACE.mkdir(mode=0o755)
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as programs:
        for member in programs:
            programs.extract(member, "/usr/local/bin")
    surroundings.make_names()
    _stand_in_for_systemd()
    reader = Reader()
    traffic: Traffic | None = None
    started = False
    steps = steps_of(PAGE.read_text())
    for step in steps:
        if not step.section.startswith("1.") and not started:
            reader.export(surroundings.start(CLONE))
            started = True
        if step.section == UPGRADE and traffic is None:
            traffic = Traffic(_presigned())
        reader.follow(step)
    assert traffic is not None
    traffic.end()
    assert not traffic.failed, f"{len(traffic.failed)} requests failed: {traffic.failed[:3]}"
    assert traffic.served > 0
    print(f"{traffic.served} requests during the upgrade, none failed")
    _check_what_runs(reader)
    _check_units()
    print(f"{len(steps)} steps of {PAGE.name} followed")
    return 0


def _check_what_runs(reader: Reader) -> None:
    reader.follow(Step("reload", "".join(f"systemctl {what}\n" for what in _AFTERWARDS), []))
    active = "".join(f"systemctl is-active {name}\n" for name in ("strongroom-bridge", "strongroom-s3proxy@8192"))
    reader.follow(Step("all of it runs", active, ["active"]))
    deadline = time.monotonic() + 30
    while "the password has 11 characters" not in (said := (JOURNAL / "shop-api").read_text()):
        assert time.monotonic() < deadline, said
        time.sleep(0.1)


def _check_units() -> None:
    names = ("strongroom-bridge.service", "strongroom-s3proxy@8192.service", "shop-api.service")
    units = [f"/etc/systemd/system/{name}" for name in names]
    verified = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, ""), verified.stderr
    for unit in ("strongroom-bridge.service", "strongroom-s3proxy@.service"):
        command = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE}"]
        path = f"/etc/systemd/system/{unit}"
        rated = subprocess.run([*command, path], capture_output=True, text=True, check=False)
        assert rated.returncode == 0, rated.stdout + rated.stderr
        print(rated.stdout.strip().rpartition("\n")[2])


def _stand_in_for_systemd() -> None:
    command = Path("/usr/local/sbin/systemctl")
    command.write_text(f'#!/bin/sh\nexec env PYTHONPATH={CLONE} python3 -m tests.install.systemctl "$@"\n')
    command.chmod(0o755)


def _presigned() -> str:
    key = Path("/etc/strongroom/s3proxy/shop-api.key").read_text().strip()
    credentials = {"AWS_ACCESS_KEY_ID": "SHOPAPI", "AWS_SECRET_ACCESS_KEY": key, "AWS_DEFAULT_REGION": "us-east-1"}
    command = ["aws", "--endpoint-url", "https://s3.example.org:8190", "s3", "presign", "s3://orders/1.txt"]
    made = subprocess.run(command, env=os.environ | credentials, capture_output=True, text=True, check=True)
    return made.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
