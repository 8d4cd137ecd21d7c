"""The network namespace of the benchmarks: nothing but a relay leads out of it."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import namespace as namespace_module
from bench.namespace import Namespace
from bench.relay import Relay
from tests.support.process.privileges import is_root

pytestmark = pytest.mark.skipif(not is_root(), reason="namespaces need root")

ASK = "import socket, sys; print(socket.create_connection(('127.0.0.1', int(sys.argv[1])), 60).recv(9).decode())"


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    with Namespace() as namespace:
        yield namespace


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Outside."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def ask(port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", ASK, str(port)], capture_output=True, text=True, check=False)


def ours() -> list[Path]:
    """Return the namespaces that this process made; others beside it may make and remove theirs."""
    return [name for name in Path("/run/netns").iterdir() if str(os.getpid()) in name.name.split("-")]


def test_a_relay_leads_out_and_nothing_else(namespace: Namespace, server: socket.socket) -> None:
    port = server.getsockname()[1]
    with Relay("127.0.0.1", port, listener=namespace.listener()) as relay:
        with namespace.entered():
            direct = ask(port)
            asking = subprocess.Popen([sys.executable, "-c", ASK, str(relay.port)], stdout=subprocess.PIPE, text=True)
        with server.accept()[0] as peer:
            peer.sendall(b"from here")
        assert asking.communicate(timeout=60)[0] == "from here\n"
    assert "ConnectionRefusedError" in direct.stderr


def test_the_thread_is_outside_again(namespace: Namespace) -> None:
    before = Path("/proc/thread-self/ns/net").readlink()
    with namespace.entered():
        assert Path("/proc/thread-self/ns/net").readlink() != before
    assert Path("/proc/thread-self/ns/net").readlink() == before


def test_it_is_removed() -> None:
    with Namespace():
        assert ours()
    assert not ours()


def test_it_is_removed_when_it_cannot_be_made_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []

    def fail() -> None:
        made.extend(ours())
        raise BlockingIOError

    monkeypatch.setattr(namespace_module, "IPRoute", fail)

    with pytest.raises(BlockingIOError):
        Namespace()

    assert made
    assert not ours()
