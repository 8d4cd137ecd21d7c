"""A launch has a TLS client of its own, by the native part of the ssl module: it believes nobody whom ssl does not.

Real servers; each is met by both ways, on each interpreter that is here and has one, and what they say is compared.
"""

import contextlib
import datetime as dt
import ipaddress
import json
import os
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from strongroom.errors import MisuseError
from tests.support.bridge.fake import FakeBridge, Script, answer, full_backlog, read_request, refusing, response
from tests.support.process.interpreters import interpreters
from tests.support.tls.certificates import Certificates
from tests.support.tree import ROOT
from wrapper.fetch import native_tls
from wrapper.fetch.addresses import Socket

INTERPRETERS = interpreters()
TWO_WAYS = Path(__file__).with_name("two_ways.py")

HOUR = dt.timedelta(hours=1)
NOBODY = "https://127.0.0.1:1"

VALUE = b"what only the right bridge is asked for"
GOOD = answer(response(200, VALUE))


def goodbye(connection: ssl.SSLSocket) -> None:
    read_request(connection)
    connection.sendall(response(200, VALUE)[:-1])
    connection.unwrap()


def forged(connection: ssl.SSLSocket) -> None:
    """A record that nobody sealed who knows the keys of the connection."""
    read_request(connection)
    connection.sendall(response(200, VALUE)[:-9])
    os.write(connection.fileno(), b"\x17\x03\x03\x00\x30" + bytes(0x30))
    with contextlib.suppress(OSError):
        connection.recv(1)


def in_the_open(connection: ssl.SSLSocket) -> None:
    """Right words, and not sealed."""
    read_request(connection)
    os.write(connection.fileno(), response(200, VALUE))
    with contextlib.suppress(OSError):
        connection.recv(1)


def without_tls(words: bytes) -> Script:
    def play(connection: ssl.SSLSocket) -> None:
        connection.sendall(words)
        with contextlib.suppress(OSError):
            while connection.recv(10_000):
                pass

    return play


def hang_up(connection: ssl.SSLSocket) -> None:
    connection.recv(10_000)


def only(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    context.minimum_version = context.maximum_version = version
    return context


def weak(folder: Path) -> tuple[ssl.SSLContext, str]:
    """Return a server with a key that is too short, and its certificate as the authority that is trusted."""
    key = rsa.generate_private_key(65_537, 1024)  # noqa: S505 - that is the point
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "weak")])
    made = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime.now(dt.UTC) - HOUR)
        .not_valid_after(dt.datetime.now(dt.UTC) + HOUR)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / "weak.crt", folder / "weak.key"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.load_cert_chain(cert, private)
    return context, str(cert)


class Cases:
    """What launches are told, by the name of the case, and a word that each must say."""

    def __init__(self, certificates: Certificates, folder: Path, stack: contextlib.ExitStack) -> None:
        self.flags: dict[str, dict[str, str]] = {}
        self.words: dict[str, str] = {}
        self._own = {"ca": certificates.ca, "cert": certificates.cert, "key": certificates.key}
        self._stack = stack
        self._strangers(certificates, folder)
        self._no_believers(certificates)
        self._other_talk(certificates)
        self._silence()
        self._files(certificates, folder)

    def _add(self, name: str, words: str, **flags: str) -> None:
        brief = {"wait": "0", "retries": "0", "attempt-timeout": "10", "shared-key": "1"}
        self.flags[name] = self._own | brief | {flag.replace("_", "-"): value for flag, value in flags.items()}
        self.words[name] = words

    def _bridge(
        self, name: str, words: str, context: ssl.SSLContext | None, *scripts: Script, host: str = "", **flags: str
    ) -> None:
        bridge = self._stack.enter_context(FakeBridge(context, *(scripts or (GOOD,))))
        self._add(name, words, bridge=f"https://{host}:{bridge.port}" if host else bridge.url, **flags)

    def _strangers(self, certificates: Certificates, folder: Path) -> None:
        server = certificates.server
        theirs = "its certificate does not hold: "
        self._bridge("the right bridge, by address", "received", server())
        self._bridge("the right bridge, by name", "received", server("localhost"), host="localhost")
        self._bridge("the right bridge, in capitals", "received", server("LOCALHOST"), host="LocalHost")
        self._bridge("unknown authority", theirs, server(), ca=certificates.other_ca)
        self._bridge("another address", theirs + "IP address mismatch", server("127.0.0.2", "::1"))
        self._bridge("another name", theirs + "Hostname mismatch", server("bridge.example"), host="localhost")
        self._bridge("a longer name", theirs + "Hostname mismatch", server("localhost.example"), host="localhost")
        self._bridge("the name of an address", theirs + "IP address mismatch", server("localhost"))
        self._bridge("an address for a name", theirs + "Hostname mismatch", server("127.0.0.1"), host="localhost")
        self._bridge("part of a name by wildcard", theirs + "Hostname mismatch", server("local*"), host="localhost")
        self._bridge("all names by wildcard", theirs + "Hostname mismatch", server("*"), host="localhost")
        self._bridge("a common name", theirs + "Hostname mismatch", server(common_name="localhost"), host="localhost")
        self._bridge("an address as common name", theirs + "IP address mismatch", server(common_name="127.0.0.1"))
        self._bridge("expired", theirs + "certificate has expired", server(expired=True))
        self._bridge("not yet valid", theirs + "certificate is not yet valid", server(begins=HOUR))
        client = server()
        client.load_cert_chain(certificates.cert, certificates.key)
        self._bridge("a certificate for clients", theirs + "unsuitable certificate purpose", client)
        context, ca = weak(folder)
        self._bridge("a weak key", theirs + "EE certificate key too weak", context, ca=ca)

    def _no_believers(self, certificates: Certificates) -> None:
        server = certificates.server
        strange = {"cert": certificates.stranger_cert, "key": certificates.stranger_key}
        self._bridge("our certificate is not known", "refuses our certificate: ", server(), **strange)
        old = certificates.client(begins=-2 * HOUR, ends=-HOUR)
        self._bridge("our certificate expired", "it ended on 20", server(), cert=str(old.cert), key=str(old.key))
        young = certificates.client(begins=HOUR, ends=2 * HOUR)
        self._bridge(
            "our certificate is of tomorrow", "not valid until 20", server(), cert=str(young.cert), key=str(young.key)
        )

    def _other_talk(self, certificates: Certificates) -> None:
        server = certificates.server
        self._bridge("an older TLS", "TLS: ", only(server(), ssl.TLSVersion.TLSv1_2))
        tickets = server()
        tickets.num_tickets = 2
        self._bridge("tickets", "received", tickets)

        self._bridge("HTTP", "TLS: ", None, without_tls(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))
        self._bridge("SSH", "TLS: ", None, without_tls(b"SSH-2.0-OpenSSH_9.2\r\n"))
        self._bridge("zeros", "TLS: ", None, without_tls(bytes(100)))
        self._bridge("an alert", "TLS: ", None, without_tls(b"\x15\x03\x03\x00\x02\x02\x28"))
        self._bridge("hangs up", "", None, hang_up)
        self._bridge("no answer", "without an answer", server(), answer())
        self._bridge("cut in the head", "without an answer", server(), answer(response(200, VALUE)[:30]))
        self._bridge("cut in the body", "was cut after", server(), answer(response(200, VALUE)[:-1]))
        self._bridge("goodbye in the body", "was cut after", server(), goodbye)
        self._bridge("a forged record", "TLS: ", server(), forged)
        self._bridge("an answer in the open", "TLS: ", server(), in_the_open)
        self._bridge(
            "a page", "is not a Strongroom bridge", server(), answer(response(200, b"x", media_type="text/html"))
        )
        self._bridge("busy", "cannot serve now", server(), answer(response(503, b"")))

    def _silence(self) -> None:
        silent = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        self._add("silent", "no TLS handshake within 2 s", bridge=url, attempt_timeout="2")
        port = self._stack.enter_context(full_backlog())
        self._add(
            "packets vanish", "no connection within 0.3 s", bridge=f"https://127.0.0.1:{port}", attempt_timeout="0.3"
        )
        free = self._stack.enter_context(refusing())
        self._add("nobody", "Connection refused", bridge=f"https://127.0.0.1:{free}")
        self._add("no such host", "", bridge="https://bridge.invalid")

    def _files(self, certificates: Certificates, folder: Path) -> None:
        many = folder / "many.crt"
        many.write_text(Path(certificates.other_ca).read_text() + Path(certificates.ca).read_text())
        self._bridge("several authorities", "received", certificates.server(), ca=str(many))
        for flag, kind in (("ca", "certificates"), ("cert", "a certificate"), ("key", "a private key")):
            broken = folder / f"broken-{flag}.pem"
            broken.write_text("hello")
            self._add(f"a {flag} that is none", f"is not a PEM file with {kind}", bridge=NOBODY, **{flag: str(broken)})
            self._add(f"no {flag}", "does not exist", bridge=NOBODY, **{flag: str(folder / "missing.pem")})
            self._add(f"a directory for a {flag}", "is a directory", bridge=NOBODY, **{flag: str(folder)})
        self._add("a key of another", "is not the key of", bridge=NOBODY, key=certificates.stranger_key)
        locked = folder / "locked.key"
        key = serialization.load_pem_private_key(Path(certificates.key).read_bytes(), None)
        secret = serialization.BestAvailableEncryption(b"passphrase")
        locked.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, secret))
        self._add("an encrypted key", "the private key is encrypted", bridge=NOBODY, key=str(locked))
        everybody = folder / "everybody.key"
        everybody.write_bytes(Path(certificates.key).read_bytes())
        everybody.chmod(0o644)
        self._add("everybody's key", "may be read by everybody", bridge=NOBODY, key=str(everybody), shared_key="0")


@pytest.fixture(scope="module")
def cases(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cases]:
    with contextlib.ExitStack() as stack:
        yield Cases(certificates, tmp_path_factory.mktemp("cases"), stack)


@pytest.fixture(scope="module", params=INTERPRETERS)
def found(request: pytest.FixtureRequest, certificates: Certificates, cases: Cases) -> dict[str, Any]:
    """What an interpreter has of both ways."""
    given = {"own": [certificates.ca, certificates.cert, certificates.key], "cases": cases.flags}
    command = [INTERPRETERS[request.param], "-IS", str(TWO_WAYS), str(ROOT)]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_every_refusal_is_one_by_both_ways_word_for_word(found: dict[str, Any], cases: Cases) -> None:
    native, by_ssl = found["native"]["said"], found["ssl"]["said"]

    assert native == by_ssl
    assert native.keys() == cases.words.keys()
    wrong = {name: said for name, said in native.items() if cases.words[name] not in f"{said[0]}: {said[1]}"}
    assert wrong == {}
    received = {name for name, said in native.items() if said[0] == "received"}
    assert received == {name for name, words in cases.words.items() if words == "received"}


def test_every_setting_of_the_context_is_the_same(found: dict[str, Any]) -> None:
    assert found["native"]["settings"] == found["ssl"]["settings"]
    settings = found["native"]["settings"]
    assert settings["check_hostname"] == "True"
    assert settings["verify_mode"] == str(int(ssl.CERT_REQUIRED))
    assert settings["minimum_version"] == str(int(ssl.TLSVersion.TLSv1_3))


def parsed(hello: bytes) -> tuple[bytes, bytes, dict[int, bytes]]:
    """Return version, ciphers and extensions of a ClientHello (RFC 8446, 4.1.2), without what is drawn for each."""
    body = hello[9:]
    version, at = body[:2], 34
    at += 1 + body[at]
    length = int.from_bytes(body[at : at + 2])
    ciphers, at = body[at + 2 : at + 2 + length], at + 2 + length
    at += 1 + body[at] + 2
    extensions = {}
    while at < len(body):
        kind, size = int.from_bytes(body[at : at + 2]), int.from_bytes(body[at + 2 : at + 4])
        extensions[kind] = body[at + 4 : at + 4 + size]
        at += 4 + size
    extensions[51] = extensions[51][:6]  # key_share: group and length, without the key
    return version, ciphers, extensions


SERVER_NAME, ALPN, TICKET, EARLY_DATA = 0, 16, 35, 42


def test_the_first_words_are_the_same(found: dict[str, Any]) -> None:
    native, by_ssl = (
        {host: parsed(bytes.fromhex(words)) for host, words in found[way]["words"].items()} for way in ("native", "ssl")
    )

    assert native == by_ssl
    assert b"bridge.example" in native["bridge.example"][2][SERVER_NAME]
    assert SERVER_NAME not in native["127.0.0.1"][2]  # RFC 6066, section 3
    assert not {ALPN, EARLY_DATA} & native["127.0.0.1"][2].keys()


def test_the_interpreter_of_the_tests_is_one_of_those() -> None:
    assert INTERPRETERS


@pytest.fixture
def own(certificates: Certificates) -> native_tls.Context:
    return native_tls.client_context(certificates.ca, certificates.cert, certificates.key)


def no_name(_context: native_tls.Context) -> bytes:
    return b""


def no_check_of_names(context: native_tls.Context) -> bytes:
    context.check_hostname = False
    return b"localhost"


def no_check_at_all(context: native_tls.Context) -> bytes:
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return b"localhost"


@pytest.mark.parametrize("weaken", [no_name, no_check_of_names, no_check_at_all])
def test_a_context_that_would_believe_anybody_makes_no_connection(
    own: native_tls.Context, weaken: Callable[[native_tls.Context], bytes]
) -> None:
    host = weaken(own)
    with contextlib.closing(Socket()) as plain, pytest.raises(MisuseError, match="who is at the other end"):
        own.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
