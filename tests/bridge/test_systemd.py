"""What systemd is told of a bridge."""

import contextlib
import signal
from pathlib import Path

from tests.bridge.conftest import MakeBridge
from tests.support.process.systemd import Systemd

# As systemd starts it: with a socket to tell its state to, which its environment names.
_STARTED = """
import os, sys
os.environ.update(NOTIFY_SOCKET={address!r}, WATCHDOG_USEC="100000")
from bridge.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_ready_once_it_listens_then_reloading_and_stopping(make_bridge: MakeBridge, tmp_path: Path) -> None:
    with contextlib.closing(Systemd(f"{tmp_path}/n")) as systemd:
        process = make_bridge("-c", _STARTED.format(address=systemd.address)).process
        assert systemd.next() == ("READY=1", process.pid)
        assert systemd.next() == ("WATCHDOG=1", process.pid)
        process.send_signal(signal.SIGHUP)
        assert systemd.until("RELOADING=1")[-1].splitlines()[1].startswith("MONOTONIC_USEC=")
        systemd.until("READY=1")
        process.send_signal(signal.SIGTERM)
        systemd.until("STOPPING=1")
        assert process.wait(20) == 0
