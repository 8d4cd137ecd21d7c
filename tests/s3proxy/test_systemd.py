"""What systemd is told of a proxy."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from devstack.s3proxy import ProxyProcess
from tests.support.process.systemd import PATIENCE_S, Systemd
from tests.support.tree import ROOT

WAYS = {
    "module": [sys.executable, "-m", "s3proxy"],
    "command": [str(Path(sys.executable).with_name("strongroom")), "s3proxy"],  # as it is installed
}


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("way", WAYS)
def test_one_process_of_a_proxy_speaks_for_all(proxy: ProxyProcess, tmp_path: Path, processes: int, way: str) -> None:
    with contextlib.closing(Systemd(f"{tmp_path}/n")) as systemd:
        command = [*WAYS[way], "--config", str(proxy.config_file), "--processes", str(processes)]
        environ = {"PATH": os.defpath, "NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "200000"}
        with subprocess.Popen(command, env=environ, cwd=ROOT, stderr=subprocess.DEVNULL) as started:
            try:
                assert systemd.next() == ("READY=1", started.pid)
                assert systemd.next() == ("WATCHDOG=1", started.pid)
                with socket.create_connection(_address(proxy), timeout=PATIENCE_S):
                    pass
            finally:
                started.send_signal(signal.SIGTERM)
            assert systemd.until("STOPPING")[-1] == "STOPPING=1"
        assert started.returncode == 0


def _address(proxy: ProxyProcess) -> tuple[str, int]:
    host, _, port = proxy.address.rpartition(":")
    return host, int(port)
