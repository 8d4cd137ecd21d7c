"""A server's TLS context that follows its files, without dropping connections.

New connections get the newest context that could be loaded: the front context hands over to it in the server-name
callback, which OpenSSL calls for every ClientHello, with or without a name. A broken new file leaves the old context in
use. Established connections keep theirs, and ``authorities_of`` returns whether their clients are still to be believed.
"""

import contextlib
import logging
import os
import ssl
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from strongroom.errors import ConfigError
from strongroom.service.authorities import Authorities, parse_sources, read_authorities
from strongroom.service.following import FollowedFile, KeptFiles, Read
from strongroom.service.logs import log_event
from strongroom.service.served_certificate import EndWatch, ServedCertificate, read_served, warn_of_faults
from strongroom.service.settings import REQUIRED, Guard, setting
from strongroom.service.tls_alert import note_certificates, send_alerts
from strongroom.tls import public_server_context, server_context
from strongroom.validity import moment

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class MutualTlsSettings:
    """Who a server is, and who may sign the certificates of its clients."""

    tls_cert_file: Path = setting(REQUIRED, "{whose} certificate with its chain", "PEM file", guard=Guard.WRITE)
    tls_key_file: Path = setting(REQUIRED, "the private key of that certificate", "PEM file", guard=Guard.READ)
    client_ca_file: str = setting(
        REQUIRED,
        "authorities that may sign the callers' certificates",
        "PEM file with one root; or TRUST_DOMAIN=FILE,... where each may only name its own trust domain",
    )

    def follow(self, observe: Callable[[bool], None]) -> "ReloadingServerContext":
        """Return the context; ``observe`` is told after each reload whether it succeeded.

        Raises:
            ConfigError: a file cannot be used.
        """
        return ReloadingServerContext(
            cert_file=self.tls_cert_file, key_file=self.tls_key_file, ca_file=self.client_ca_file, observe=observe
        )


class ReloadingServerContext:
    """The context of a server; call ``poll`` from time to time.

    Attributes:
        front: the context to give to the server; it never changes.
    """

    def __init__(
        self,
        *,
        cert_file: str | os.PathLike[str],
        key_file: str | os.PathLike[str],
        ca_file: str | os.PathLike[str] | None = None,
        kept: KeptFiles | None = None,
        observe: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """Load the files.

        Args:
            cert_file: the server's certificate with its chain, PEM.
            key_file: the private key of that certificate, PEM.
            ca_file: authorities of the clients, PEM, as ``authorities.parse_sources`` takes them; without it clients
                show no certificate.
            kept: what was in force in the process that this one replaces.
            observe: told after each reload whether it succeeded.

        Raises:
            ConfigError: a file cannot be used, and there is no older context to keep.
        """
        self._sources = parse_sources(os.fspath(ca_file), "client_ca_file") if ca_file else ()
        self._cert_file, self._key_file = os.fspath(cert_file), os.fspath(key_file)
        kept = kept or KeptFiles()
        self._authorities: Authorities | None = None
        self._trusted: weakref.WeakSet[ssl.SSLContext] = weakref.WeakSet()  # that have the authorities of now
        self._end = EndWatch()
        self._ends_of_authorities: dict[Path, EndWatch] = {}
        (self.front, _), _ = kept.start(self._load)
        self._files = FollowedFile("tls", self._load, on_new=self._note, observe=observe, kept=kept)
        warn_of_faults(self.certificate)
        self.front.sni_callback = self._hand_over
        send_alerts(self.front)

    @property
    def certificate(self) -> ServedCertificate:
        """What is in use."""
        return self._files.value[1]

    @property
    def error(self) -> str:
        """Why the newest files could not be used, or ""."""
        return self._files.error

    def poll(self) -> None:
        """Load the files again if one of them has changed; keep the old context if they cannot be used.

        Tells, too, that the certificate in use ends, or the last root in a file of authorities.
        """
        self._files.poll()
        now = time.time()
        self._end.look(self.certificate, now)
        for file, validity in self._authorities.validities.items() if self._authorities else ():
            watch = self._ends_of_authorities.setdefault(file, EndWatch(of_authority=True))
            watch.look(ServedCertificate(str(file), *validity), now)

    def state(self) -> tuple[bool, str]:
        """Return whether clients can use the certificate now, and be known, and a line about it for a person."""
        now = time.time()
        stale = f"older files are in use: {self.error}; " if self.error else ""
        roots = self._authorities.validities if self._authorities else {}
        ended = [
            str(file) for file, validity in roots.items() if ServedCertificate(str(file), *validity).has_ended(now)
        ]
        told = f"; what is signed by the authority in {', '.join(ended)} is refused, as it has ended" if ended else ""
        nobody = ended and len(ended) == len(roots)
        return not self.certificate.has_ended(now) and not nobody, stale + self.certificate.describe(now) + told

    def _note(self, loaded: tuple[ssl.SSLContext, ServedCertificate]) -> None:
        _, certificate = loaded
        fields = {"certificate": self._cert_file, "not_after": moment(certificate.not_after)}
        log_event(_log, logging.INFO, "tls_reloaded", fields)
        warn_of_faults(certificate)

    def authorities_of(self, connection: ssl.SSLObject) -> Authorities | None:
        """Return the authorities that verified the client of a connection, None if others are in use by now."""
        return self._authorities if connection.context in self._trusted else None

    def _load(self, read: Read) -> tuple[ssl.SSLContext, ServedCertificate]:
        authorities = read_authorities(self._sources, read) if self._sources else None
        with contextlib.ExitStack() as stack:
            # OpenSSL reads files by path, and those that were kept are in memory.
            memory = {path: stack.enter_context(_in_memory(path, read)) for path in (self._cert_file, self._key_file)}
            cert_file, key_file = memory[self._cert_file], memory[self._key_file]
            try:
                if authorities is not None:
                    context = server_context(authorities.der, cert_file, key_file)
                    note_certificates(context)
                else:
                    context = public_server_context(cert_file, key_file)
            except ConfigError as error:
                message = error.message
                for path, place in memory.items():
                    message = message.replace(place, path)
                raise ConfigError(message, hint=error.hint) from None
            content = Path(cert_file).read_bytes()
        try:
            certificate = read_served(self._cert_file, content, time.time())
        except ValueError:  # OpenSSL takes some that this does not
            msg = f"{self._cert_file}: is not a PEM file with certificates"
            raise ConfigError(msg, hint="it must hold BEGIN CERTIFICATE blocks, not BEGIN TRUSTED") from None
        if certificate.has_ended(time.time()):
            msg = f"{self._cert_file}: the certificate expired at {moment(certificate.not_after)}"
            raise ConfigError(msg, hint="no client would accept it; issue a new one")
        if authorities != self._authorities:
            self._authorities = authorities
            self._trusted.clear()
        self._trusted.add(context)
        return context, certificate

    def _hand_over(self, connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _front: ssl.SSLContext) -> None:
        # SSL_set_SSL_CTX takes over the certificate and the store of authorities; the demand for a client certificate
        # and the version stay those of the front context, which are the same.
        connection.context = self._files.value[0]


@contextlib.contextmanager
def _in_memory(path: str, read: Read) -> Iterator[str]:
    """Yield the path of a file in memory with what is read; the file's own where it cannot be, which is told then."""
    try:
        content = read(Path(path))
    except OSError:
        yield path
        return
    descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
