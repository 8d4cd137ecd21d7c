"""Both ways to a TLS client, on the interpreter that runs this: what their contexts are, and what they say of bridges.

``PYTHON two_ways.py ROOT`` takes on stdin ``{"own": [CA, CERT, KEY], "cases": {NAME: {FLAG: VALUE}}}``, as JSON, and
prints what each way has of it.
"""

import json
import select
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

sys.path.append(sys.argv[1])

import _socket
import _ssl

from strongroom import tls
from strongroom.errors import StrongroomError
from strongroom.launch.bundle import BUNDLE_URL_PATH, BundleRequest, Entry
from strongroom.launch.reference import Reference
from wrapper.fetch import context, native_tls
from wrapper.fetch.addresses import Socket
from wrapper.fetch.bridge import Body, Bridge
from wrapper.settings import load_settings

if TYPE_CHECKING:
    from wrapper.fetch.dial import Context

REQUEST = BundleRequest([Entry("A", [Reference("kv/db", "key")])], [], frozenset())
THIS = (sys.implementation.name, *sys.version_info[:2])
WAYS = {"native": frozenset({THIS}), "ssl": frozenset[tuple[str, int, int]]()}


def said_of(flags: dict[str, str]) -> list[str]:
    """Return what a launch with these settings says in the end."""

    def receive(body: Body) -> bytes:
        content = bytearray(body.size)
        body.read_into(memoryview(content))
        return bytes(content)

    try:
        received = Bridge(load_settings(flags, {})).fetch(BUNDLE_URL_PATH, REQUEST, receive)
    except StrongroomError as error:
        return [type(error).__name__, error.message, error.hint]
    return ["received", received.decode()]


def settings_of(one: "Context") -> dict[str, str]:
    """Return every setting that OpenSSL's context has in Python, as numbers: by the native part's own getters."""
    base = vars(_ssl._SSLContext)
    found = {name: getter.__get__(one) for name, getter in base.items() if type(getter).__name__ == "getset_descriptor"}
    ciphers = [cipher["name"] for cipher in one.get_ciphers()]
    return {name: repr(value) for name, value in found.items()} | {
        "ciphers": repr(ciphers),
        "store": repr(one.cert_store_stats()),
        "authorities": repr(one.get_ca_certs(binary_form=True)),
    }


def first_words(one: "Context", host: bytes) -> bytes:
    """Return the first flight of a handshake."""
    here, there = _socket.socketpair()
    plain: Any = Socket(fileno=here.detach())
    with closing(there), one.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False) as connection:
        connection.settimeout(0)
        try:
            connection.do_handshake()
        except _ssl.SSLWantReadError:
            select.select([there], [], [])
            return there.recv(16_384)
    raise AssertionError("a handshake with nobody")


def main() -> None:
    given = json.load(sys.stdin)
    made: dict[str, Context] = {
        "native": native_tls.client_context(*given["own"]),
        "ssl": tls.client_context(*given["own"]),
    }
    result: dict[str, dict[str, object]] = {}
    for way, compared in WAYS.items():
        context.COMPARED = compared
        result[way] = {
            "settings": settings_of(made[way]),
            "words": {
                host: first_words(made[way], host.encode()).hex() for host in ("bridge.example", "127.0.0.1", "::1")
            },
            "said": {name: said_of(flags) for name, flags in given["cases"].items()},
        }
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
