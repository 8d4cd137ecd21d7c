"""Certificates for both ends of a connection: right ones, and servers of every kind of wrong."""

import datetime as dt
import ssl
from pathlib import Path

from devstack.authority import Authority, IssuedFiles

IDENTITY = "spiffe://example.org/ns/shop/sa/api"


class Certificates:
    """An authority and what it issued, and a second authority that nobody trusts.

    Attributes:
        ca, cert, key: what the wrapper is to use.
        other_ca: an authority that signed none of this.
        stranger_cert, stranger_key: the same identity from that authority.
    """

    def __init__(self, folder: Path) -> None:
        self._authority = Authority(folder / "ours")
        self._serial = 0
        stranger = Authority(folder / "theirs", name="Somebody else")
        client = self._authority.issue_client("client", identities=(IDENTITY,))
        strange = stranger.issue_client("client", identities=(IDENTITY,))
        self.ca = str(self._authority.ca_file)
        self.cert = str(client.cert)
        self.key = str(client.key)
        self.other_ca = str(stranger.ca_file)
        self.stranger_cert = str(strange.cert)
        self.stranger_key = str(strange.key)

    def client(self, *, begins: dt.timedelta, ends: dt.timedelta) -> IssuedFiles:
        """Issue a certificate with the same identity, valid between two moments that are told from now."""
        self._serial += 1
        now = dt.datetime.now(dt.UTC)
        name = f"client{self._serial}"
        return self._authority.issue_client(name, identities=(IDENTITY,), not_before=now + begins, not_after=now + ends)

    def server(
        self, *names: str, expired: bool = False, begins: dt.timedelta | None = None, common_name: str = ""
    ) -> ssl.SSLContext:
        """Return the context of a server with a certificate for these names; 127.0.0.1 and ::1 if none are given.

        With a common name, and no other name, the certificate has that alone. It begins at a moment told from now.
        """
        self._serial += 1
        now = dt.datetime.now(dt.UTC)
        issued = self._authority.issue_server(
            common_name or f"server{self._serial}",
            hosts=names or (() if common_name else ("127.0.0.1", "::1")),
            not_before=now - dt.timedelta(hours=2) if expired else now + begins if begins else None,
            not_after=now - dt.timedelta(hours=1) if expired else None,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0  # as the bridge has it
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.ca)
        context.load_cert_chain(issued.cert, issued.key)
        return context


def tls_pair(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the context of a server that is localhost, and the one of its clients."""
    authority = Authority(directory)
    files = authority.issue_server("server")
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(files.cert, files.key)
    return server, ssl.create_default_context(cafile=authority.ca_file)
