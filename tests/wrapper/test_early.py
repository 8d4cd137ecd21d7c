"""A launch connects to the bridge before it has loaded all that it needs, and is never worse off for it."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from time import monotonic

import pytest

from tests.support.bridge.fake import FakeBridge, bundle, full_backlog
from tests.support.launch.launches import Launches
from tests.support.process.waiting import wait_for
from tests.support.tls.certificates import Certificates
from tests.wrapper.static_programs import busybox
from tests.wrapper.test_dial import SECRET, found, say_ok
from wrapper.fetch import addresses, native_tls
from wrapper.fetch.addresses import Beginning
from wrapper.fetch.dial import Dialer, is_final

HOST = b"127.0.0.1"
LONG_S = 20.0


@pytest.fixture
def context(certificates: Certificates) -> native_tls.Context:
    return native_tls.client_context(certificates.ca, certificates.cert, certificates.key)


def answer_of(dialer: Dialer) -> bytes:
    with dialer.connect(monotonic() + LONG_S) as connection:
        connection.settimeout(LONG_S)
        return connection.read(10)


@contextlib.contextmanager
def listening(play: Callable[[socket.socket, int], None]) -> Iterator[int]:
    """Yield the port of a listener that plays with each connection, and is told how many there were before it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            with contextlib.suppress(OSError):
                for number in range(100):
                    connection, _ = listener.accept()
                    with contextlib.suppress(OSError), connection:
                        connection.settimeout(LONG_S)
                        play(connection, number)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(LONG_S)


@pytest.fixture
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take what was begun for fresh, however long a busy machine takes from there on."""
    monkeypatch.setattr(addresses, "_FRESH_S", LONG_S)


@pytest.mark.usefixtures("no_hurry")
class TestWhatWasBegun:
    def test_it_is_used_and_nothing_is_begun_again(
        self, context: native_tls.Context, certificates: Certificates
    ) -> None:
        with FakeBridge(certificates.server(), say_ok) as bridge:
            beginning = Beginning(HOST, bridge.port)
            wait_for(lambda: bridge.connections, "the connection")  # before there is TLS
            assert answer_of(Dialer(HOST, bridge.port, context, beginning=beginning)) == b"ok"
            assert bridge.connections == 1

    def test_the_handshake_begins_before_anybody_waits_for_it(self, context: native_tls.Context) -> None:
        heard = threading.Event()

        def play(connection: socket.socket, _number: int) -> None:
            if connection.recv(1) == b"\x16":  # a handshake record (RFC 8446, 5.1)
                heard.set()

        with listening(play) as port:
            beginning = Beginning(HOST, port)
            assert beginning.begun
            wait_for(lambda: is_connected(beginning), "the connection")
            dialer = Dialer(HOST, port, context, beginning=beginning)
            assert heard.wait(LONG_S)
            with contextlib.suppress(OSError):  # it is hung up on
                dialer.connect(monotonic() + LONG_S)

    @pytest.mark.parametrize("after_hello", [False, True])
    def test_it_failed_and_counts_for_nothing(
        self, context: native_tls.Context, certificates: Certificates, *, after_hello: bool
    ) -> None:
        server = certificates.server()

        gone = threading.Event()

        def play(connection: socket.socket, number: int) -> None:
            if number:
                with server.wrap_socket(connection, server_side=True) as tls:
                    say_ok(tls)
                return
            if after_hello:
                connection.recv(1, socket.MSG_PEEK)
            connection.close()
            gone.set()

        with listening(play) as port:
            beginning = Beginning(HOST, port)
            assert after_hello or gone.wait(LONG_S)
            assert answer_of(Dialer(HOST, port, context, beginning=beginning)) == b"ok"

    @pytest.mark.parametrize("error", [ssl.SSLEOFError(), ssl.SSLZeroReturnError(), ConnectionResetError()])
    def test_a_bridge_that_hangs_up_is_no_stranger(self, error: OSError) -> None:
        """By which of these it shows depends on the moment, and on the interpreter."""
        assert not is_final(error)
        assert is_final(ssl.SSLCertVerificationError())

    def test_nobody_listened_and_somebody_does_now(
        self, context: native_tls.Context, certificates: Certificates
    ) -> None:
        server = certificates.server()
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            dialer = Dialer(HOST, port, context, beginning=Beginning(HOST, port))
            listener.listen()

            def run() -> None:
                connection, _ = listener.accept()
                with server.wrap_socket(connection, server_side=True) as tls:
                    say_ok(tls)

            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            assert answer_of(dialer) == b"ok"
            thread.join(LONG_S)

    def test_a_stranger_is_refused_at_once(self, context: native_tls.Context, certificates: Certificates) -> None:
        with FakeBridge(certificates.server("other.example"), say_ok) as stranger:
            dialer = Dialer(HOST, stranger.port, context, beginning=Beginning(HOST, stranger.port))
            with pytest.raises(ssl.SSLCertVerificationError):
                dialer.connect(monotonic() + LONG_S)
            assert stranger.connections == 1

    def test_it_is_too_old_by_now_and_is_dropped(self, context: native_tls.Context, certificates: Certificates) -> None:
        """As when certificates had to be waited for: a bridge hangs up on those who say nothing."""
        with FakeBridge(certificates.server(), say_ok) as bridge:
            beginning = Beginning(HOST, bridge.port)
            wait_for(lambda: bridge.connections, "the connection")
            assert beginning.begun
            _, early = beginning.begun
            beginning._at -= LONG_S
            dialer = Dialer(HOST, bridge.port, context, beginning=beginning)
            assert early.fileno() == -1
            assert answer_of(dialer) == b"ok"
            assert bridge.connections == 2

    def test_its_address_swallows_packets_and_the_next_one_is_taken(
        self, context: native_tls.Context, certificates: Certificates
    ) -> None:
        with FakeBridge(certificates.server(), say_ok) as bridge, full_backlog("127.0.0.2", bridge.port):
            beginning = Beginning(b"127.0.0.2", bridge.port)
            assert beginning.lookup
            beginning.lookup.found = [*beginning.lookup.found, found("127.0.0.1", bridge.port)]
            assert answer_of(Dialer(HOST, bridge.port, context, beginning=beginning)) == b"ok"

    def test_a_name_is_looked_up_meanwhile(self, context: native_tls.Context, certificates: Certificates) -> None:
        with FakeBridge(certificates.server("localhost"), say_ok) as bridge:
            beginning = Beginning(b"localhost", bridge.port)
            assert beginning.lookup
            assert answer_of(Dialer(b"localhost", bridge.port, context, beginning=beginning)) == b"ok"

    def test_there_is_no_such_name(self, context: native_tls.Context) -> None:
        dialer = Dialer(b"bridge.invalid", 1, context, beginning=Beginning(b"bridge.invalid", 1))
        with pytest.raises(OSError, match="ame"):  # resolvers differ in the words
            dialer.connect(monotonic() + LONG_S)


def is_connected(beginning: Beginning) -> bool:
    assert beginning.begun
    try:
        beginning.begun[1].getpeername()
    except OSError:
        return False
    return True


class TestALaunch:
    def test_one_with_a_bridge_that_hangs_up_once_goes_on(self, launches: Launches, certificates: Certificates) -> None:
        server, script = certificates.server(), bundle({"SECRET": b"value"})

        def play(connection: socket.socket, number: int) -> None:
            if number:
                with server.wrap_socket(connection, server_side=True) as tls:
                    script(tls)

        with listening(play) as port:
            done = launches.run(["printenv", "SECRET"], SECRET, bridge=f"https://127.0.0.1:{port}")

        assert (done.stdout, done.returncode) == (b"value\n", 0), done.stderr

    @pytest.mark.parametrize(
        ("command", "variables"),
        [
            (["true"], {"PLAIN": "x"}),
            (["/no/such/program"], SECRET),
            (["true"], {"SECRET": "bao:kv/db"}),
            (["true"], SECRET | {"STRONGROOM_CERT": "/missing.pem"}),
        ],
        ids=["nothing to fetch", "no program", "no reference", "no certificate"],
    )
    def test_one_that_asks_for_nothing_does_not_connect(
        self, launches: Launches, certificates: Certificates, command: list[str], variables: dict[str, str]
    ) -> None:
        with FakeBridge(certificates.server(), bundle({})) as bridge:
            launches.run(command, variables, bridge=bridge.url)
            assert bridge.connections == 0

    def test_one_of_a_static_program_connects_once(self, launches: Launches, certificates: Certificates) -> None:
        with FakeBridge(certificates.server(), bundle({"SECRET": b"value"})) as bridge:
            began = monotonic()
            done = launches.run([busybox(), "sh", "-c", "echo $SECRET"], SECRET, bridge=bridge.url)
            took_s = monotonic() - began
            assert (done.stdout, done.returncode) == (b"value\n", 0), done.stderr
            assert bridge.connections == 1 or took_s >= addresses._FRESH_S, "a busy machine drops what it began"
