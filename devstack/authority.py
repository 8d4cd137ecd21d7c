"""A throw-away certificate authority: one root, server certificates, and client certificates with a SPIFFE identity.

For development and tests. The root key stays in memory; what it issues are EC P-256 keys and certificates in files with
mode 0600 in one directory. It has no revocation and no intermediate, and its root ends with the process that made it.
"""

import datetime as dt
import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = dt.timedelta(days=7)  # longer than a development session, too short to be used for anything else
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
CLOCK_SLACK = dt.timedelta(minutes=5)  # containers on one machine may disagree by a little


@dataclass(frozen=True)
class IssuedFiles:
    """Where a certificate and its key were written."""

    cert: Path
    key: Path


class Authority:
    """One root of trust, made anew, and the certificates that it issues into a directory."""

    def __init__(self, directory: Path, *, name: str = "Strongroom development authority") -> None:
        """Make a root and write its certificate to ``ca.crt``.

        Args:
            directory: is made with mode 0700 if it does not exist.
            name: common name of the root.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self._key: PrivateKey = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC)
        self._root = (
            x509.CertificateBuilder(issuer_name=self._name, subject_name=self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SLACK - LIFETIME)  # so that expired certificates can be issued, too
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.ca_file = directory / "ca.crt"
        write_private(self.ca_file, self._root.public_bytes(serialization.Encoding.PEM))

    def issue_server(
        self,
        name: str,
        *,
        hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "::1"),
        identities: tuple[str, ...] = (),
        not_before: dt.datetime | None = None,
        not_after: dt.datetime | None = None,
    ) -> IssuedFiles:
        """Issue a server certificate and write ``NAME.crt`` and ``NAME.key``.

        Args:
            name: stem of the files and common name.
            hosts: DNS names and IP addresses that clients may call the server by.
            identities: URI SANs, for a workload that is a server, too.
            not_before: begin of validity; a little before now by default.
            not_after: end of validity; LIFETIME from now by default.
        """
        names = [_host_name(host) for host in hosts] + _uris(identities)
        return self._issue(name, names, ExtendedKeyUsageOID.SERVER_AUTH, not_before, not_after)

    def issue_client(  # noqa: PLR0913 - what there is to a certificate
        self,
        name: str,
        *,
        identities: tuple[str, ...],
        not_before: dt.datetime | None = None,
        not_after: dt.datetime | None = None,
        signs: bool = False,
        key: PrivateKey | None = None,
    ) -> IssuedFiles:
        """Issue a client certificate and write ``NAME.crt`` and ``NAME.key``.

        Args:
            name: stem of the files and common name.
            identities: URI SANs; a legal SVID has exactly one SPIFFE URI (X509-SVID, section 2), tests want others.
            not_before: begin of validity; a little before now by default.
            not_after: end of validity; LIFETIME from now by default.
            signs: whether it may sign others, as no workload's may (X509-SVID, section 5.2); tests want that, too.
            key: a new one of EC P-256 by default.
        """
        usage = ExtendedKeyUsageOID.CLIENT_AUTH
        return self._issue(name, _uris(identities), usage, not_before, not_after, signs=signs, key=key)

    def _issue(  # noqa: PLR0913 - what there is to a certificate
        self,
        name: str,
        alternative_names: list[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        not_before: dt.datetime | None,
        not_after: dt.datetime | None,
        *,
        signs: bool = False,
        key: PrivateKey | None = None,
    ) -> IssuedFiles:
        key = key or ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder(
                issuer_name=self._name, subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
            )
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before or now - CLOCK_SLACK)
            .not_valid_after(not_after or min(now + LIFETIME, self._root.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=signs, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=signs), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if alternative_names:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternative_names), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        files = IssuedFiles(cert=self.directory / f"{name}.crt", key=self.directory / f"{name}.key")
        write_private(files.cert, certificate.public_bytes(serialization.Encoding.PEM))
        write_private(
            files.key,
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
        return files


def write_private(path: Path, content: bytes) -> None:
    """Write a file with mode 0600 and put it in place at once, so that a reader never sees half of it."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    scratch.replace(path)


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _uris(identities: tuple[str, ...]) -> list[x509.GeneralName]:
    return [x509.UniformResourceIdentifier(uri) for uri in identities]


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    return x509.KeyUsage(
        digital_signature=True,  # TLS wants it of everybody who shows a certificate
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        **dict.fromkeys((*others, "encipher_only", "decipher_only"), False),
    )
