"""The bridge's name has several addresses, and some of them are no good. Real sockets on several loopback addresses."""

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.tls import client_context
from tests.support.bridge.fake import FakeBridge, answer, bundle, full_backlog, refusing, response
from tests.support.launch.launches import Launches
from tests.support.process.privileges import is_root
from tests.support.tls.certificates import Certificates
from wrapper.fetch.addresses import in_turn
from wrapper.fetch.dial import HandshakeTimeoutError, Race

HOST = "127.0.0.1"  # what all certificates here are for, and the address that is fine
DEAD = "127.0.0.2"
LONG_S = 60.0  # no test waits for it

SECRET = {"SECRET": "bao:kv/db#key"}
SCRIPT = bundle({"SECRET": b"value"})
BUSY = answer(response(503, b""))

Dead = Callable[[str, int], contextlib.AbstractContextManager[object]]


def found(host: str, port: int) -> tuple[object, ...]:
    """An address as getaddrinfo gives it."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]


def say_ok(connection: ssl.SSLSocket) -> None:
    connection.sendall(b"ok")


@pytest.fixture
def context(certificates: Certificates) -> ssl.SSLContext:
    return client_context(certificates.ca, certificates.cert, certificates.key)


def race(context: ssl.SSLContext, *hosts: str, port: int, within_s: float = LONG_S) -> bytes:
    """Return what the winner says."""
    addresses = [found(host, port) for host in hosts]
    winner = Race(addresses, context, HOST.encode()).run(monotonic() + within_s)
    with winner.connection as connection:
        connection.settimeout(LONG_S)
        said: bytes = connection.recv(10)
        return said


@contextlib.contextmanager
def silent(host: str, port: int) -> Iterator[socket.socket]:
    """Somebody whose kernel accepts connections and who never says a word."""
    with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        yield listener


class TestOneAddressIsNoGood:
    @pytest.fixture
    def port(self, certificates: Certificates) -> Iterator[int]:
        with FakeBridge(certificates.server(), say_ok) as bridge:
            yield bridge.port

    def test_packets_to_it_vanish(self, context: ssl.SSLContext, port: int) -> None:
        with full_backlog(DEAD, port):
            assert race(context, DEAD, HOST, port=port) == b"ok"

    def test_it_accepts_and_says_nothing(self, context: ssl.SSLContext, port: int) -> None:
        with silent(DEAD, port):
            assert race(context, DEAD, HOST, port=port) == b"ok"

    def test_it_refuses(self, context: ssl.SSLContext, port: int) -> None:
        assert race(context, DEAD, HOST, port=port) == b"ok"

    def test_it_is_of_the_other_family(self, context: ssl.SSLContext, port: int) -> None:
        with full_backlog("::1", port):
            assert race(context, "::1", HOST, port=port) == b"ok"

    def test_several_are(self, context: ssl.SSLContext, port: int) -> None:
        with full_backlog(DEAD, port), silent("127.0.0.3", port):
            assert race(context, DEAD, "127.0.0.3", "127.0.0.4", HOST, port=port) == b"ok"

    def test_there_is_no_route_to_it(self, context: ssl.SSLContext, port: int) -> None:
        assert race(context, "255.255.255.255", HOST, port=port) == b"ok"

    def test_it_belongs_to_somebody_else(self, context: ssl.SSLContext, certificates: Certificates) -> None:
        with FakeBridge(certificates.server("other.example"), say_ok) as stranger:
            with pytest.raises(ssl.SSLCertVerificationError):
                race(context, HOST, DEAD, port=stranger.port)
            with FakeBridge(certificates.server(), say_ok, host=DEAD, port=stranger.port):
                assert race(context, HOST, DEAD, port=stranger.port) == b"ok"

    def test_the_losers_are_hung_up_on(self, context: ssl.SSLContext, port: int) -> None:
        with silent(DEAD, port) as listener:
            race(context, DEAD, HOST, port=port)
            listener.settimeout(LONG_S)
            with listener.accept()[0] as loser:
                loser.settimeout(LONG_S)
                while loser.recv(65_536):  # the beginning of a handshake, and then the end
                    pass


class TestNoAddressIsAnyGood:
    def test_all_refuse(self, context: ssl.SSLContext) -> None:
        with refusing() as port, pytest.raises(ConnectionRefusedError):
            race(context, HOST, "127.0.0.3", port=port)

    def test_packets_to_all_of_them_vanish(self, context: ssl.SSLContext) -> None:
        with full_backlog(HOST) as port, full_backlog(DEAD, port), pytest.raises(TimeoutError) as caught:
            race(context, DEAD, HOST, port=port, within_s=0.4)

        assert not isinstance(caught.value, HandshakeTimeoutError)

    def test_one_of_them_accepts_and_says_nothing(self, context: ssl.SSLContext) -> None:
        with (
            silent(HOST, 0) as listener,
            full_backlog(DEAD, listener.getsockname()[1]) as port,
            pytest.raises(HandshakeTimeoutError),
        ):
            race(context, DEAD, HOST, port=port, within_s=2)

    def test_the_deadline_is_over_already(self, context: ssl.SSLContext) -> None:
        with pytest.raises(TimeoutError):
            race(context, HOST, port=1, within_s=-1)


@given(st.lists(st.tuples(st.sampled_from([socket.AF_INET, socket.AF_INET6]), st.integers())))
def test_families_alternate_and_nothing_is_lost(addresses: list[tuple[socket.AddressFamily, int]]) -> None:
    ordered = in_turn(addresses)

    assert sorted(ordered) == sorted(addresses)
    for family in (socket.AF_INET, socket.AF_INET6):
        assert [item for item in ordered if item[0] == family] == [item for item in addresses if item[0] == family]
    if addresses:
        assert ordered[0] == addresses[0]
    fewer = min(sum(item[0] == family for item in addresses) for family in (socket.AF_INET, socket.AF_INET6))
    assert all(ordered[i][0] != ordered[i + 1][0] for i in range(max(2 * fewer - 1, 0)))


@pytest.mark.skipif(not is_root(), reason="a mount namespace needs root")
class TestANameWithTwoAddresses:
    """The same with the wrapper as a process; ``bridge.example`` is ::1 and 127.0.0.1."""

    @pytest.fixture
    def prefix(self, tmp_path: Path) -> list[str]:
        hosts = tmp_path / "hosts"
        hosts.write_text("::1 bridge.example\n127.0.0.1 bridge.example\n")
        return ["unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh"]

    @pytest.mark.parametrize("dead", [full_backlog, silent], ids=["packets vanish", "says nothing"])
    def test_one_dead_replica_does_not_stop_a_launch(
        self, launches: Launches, certificates: Certificates, prefix: list[str], dead: Dead
    ) -> None:
        command = ["printenv", "SECRET"]
        with (
            FakeBridge(certificates.server("bridge.example"), SCRIPT) as bridge,
            dead("::1", bridge.port),
            # With --wait 0: the first attempt has to find the way.
            launches.started(command, SECRET, bridge=f"https://bridge.example:{bridge.port}", prefix=prefix) as process,
        ):
            output, errors = process.communicate(timeout=LONG_S)

        assert (output, process.returncode) == (b"value\n", 0), errors

    @pytest.mark.parametrize("busy_first", [True, False])
    def test_a_busy_replica_is_not_the_first_to_be_asked_again(
        self, launches: Launches, certificates: Certificates, prefix: list[str], *, busy_first: bool
    ) -> None:
        first, second = (BUSY, SCRIPT) if busy_first else (SCRIPT, BUSY)
        command, variables = ["printenv", "SECRET"], SECRET | {"STRONGROOM_RETRIES": "1"}
        with (
            FakeBridge(certificates.server("bridge.example"), second) as two,
            FakeBridge(certificates.server("bridge.example"), first, family=socket.AF_INET6, port=two.port),
            launches.started(command, variables, bridge=f"https://bridge.example:{two.port}", prefix=prefix) as process,
        ):
            output, errors = process.communicate(timeout=LONG_S)

        assert (output, process.returncode) == (b"value\n", 0), errors


NO_THREADS = ["refuse=435:1"]  # clone3 fails with EPERM, as under the seccomp profiles of older container runtimes


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_thread_is_needed(launches: Launches, certificates: Certificates, host: str) -> None:
    with FakeBridge(certificates.server("127.0.0.1", "localhost"), SCRIPT) as bridge:
        url = f"https://{host}:{bridge.port}"
        done = launches.run(["printenv", "SECRET"], SECRET, bridge=url, sandbox=NO_THREADS)

    assert (done.stdout, done.returncode) == (b"value\n", 0), done.stderr


def test_without_threads_an_unknown_name_is_a_line_and_no_traceback(launches: Launches) -> None:
    done = launches.run(["true"], SECRET, bridge="https://bridge.invalid", sandbox=NO_THREADS)

    assert done.returncode == 114, done.stderr
    assert b"Traceback" not in done.stderr
