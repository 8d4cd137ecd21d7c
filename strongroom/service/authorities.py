"""The authorities that sign clients' certificates, and which trust domains each of them may name.

A SPIFFE trust domain has authorities of its own (SPIFFE-ID, section 2.1). TLS knows only one set of them, of which each
may sign any name; so an authority that is let in for a partner's workloads could issue certificates with the names of
ours. With several authorities each is bound to its trust domain, and whoever lists them without that is refused.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from strongroom.errors import ConfigError, DeniedError
from strongroom.identity import SpiffeId

_BOUND = re.compile(r"([a-z0-9._-]{1,255})=(.+)\Z")  # the alphabet of trust domains, which has no slash


@dataclass(frozen=True)
class Source:
    """A PEM file with authorities, and the trust domain that they may name; "" for any."""

    file: Path
    trust_domain: str = ""


def parse_sources(text: str, name: str) -> tuple[Source, ...]:
    """Split ``FILE``, or ``TRUST_DOMAIN=FILE,...``.

    Args:
        text: the setting.
        name: of the setting, for messages.

    Raises:
        ConfigError: it is malformed, or one of several files is not bound to a trust domain.
    """
    sources = []
    for item in text.split(",") if _BOUND.match(text) else [text]:
        bound = _BOUND.match(item.strip())
        sources.append(Source(Path(bound[2]), bound[1]) if bound else Source(Path(item)))
    if not all(str(source.file).strip(". ") for source in sources) or (
        len(sources) > 1 and not all(source.trust_domain for source in sources)
    ):
        msg = f"{name}={text}: must be FILE, or TRUST_DOMAIN=FILE for each of several, with commas between them"
        raise ConfigError(msg, hint="write for example example.org=/run/ca/ours.crt,partner.example=/run/ca/theirs.crt")
    return tuple(sources)


@dataclass(frozen=True)
class Authorities:
    """All authorities, as they were at one moment.

    Attributes:
        der: their certificates in a row, for ``SSLContext.load_verify_locations``.
        validities: begin and end, in seconds of the epoch, of that root of each file that holds longest.
    """

    der: bytes
    _domains: Mapping[bytes, frozenset[str]]  # of each root, by its SHA-256; "" is any
    validities: Mapping[Path, tuple[float, float]] = field(default_factory=dict)

    def require(self, root: bytes, identity: SpiffeId) -> None:
        """Return if a root may name an identity.

        Args:
            root: certificate at the end of a verified chain, DER.
            identity: in the certificate at its beginning.

        Raises:
            DeniedError: it may not.
        """
        domains = self._domains.get(hashlib.sha256(root).digest(), frozenset())
        if not domains & {"", identity.trust_domain}:
            msg = f"the authority that signed the certificate of {identity} may not name {identity.trust_domain}"
            raise DeniedError(msg, hint="client_ca_file binds each authority to its trust domain")


def read_authorities(sources: Sequence[Source], read: Callable[[Path], bytes] = Path.read_bytes) -> Authorities:
    """Read all files.

    Args:
        sources: where they are.
        read: returns what is in a file.

    Raises:
        ConfigError: a file cannot be read, has no root, or has several although it is not bound to a trust domain.
    """
    der = b""
    domains: dict[bytes, set[str]] = {}
    validities: dict[Path, tuple[float, float]] = {}
    for source in sources:
        certificates = _certificates_in(source.file, read)
        # What ends a chain is a certificate that signed itself; others only lead there.
        own = [certificate for certificate in certificates if certificate.subject == certificate.issuer]
        roots = {_der(certificate) for certificate in own}
        if not roots:
            msg = f"{source.file}: holds no authority that signed itself"
            raise ConfigError(msg, hint="add the root of the certificates in it; a chain must end in one")
        if len(roots) > 1 and not source.trust_domain:
            msg = f"{source.file}: holds {len(roots)} authorities, and each could name the workloads of all others"
            hint = f"write TRUST_DOMAIN={source.file}, and for authorities of several trust domains a file for each"
            raise ConfigError(msg, hint=hint)
        for root in roots:
            domains.setdefault(hashlib.sha256(root).digest(), set()).add(source.trust_domain)
        last = max(own, key=lambda root: root.not_valid_after_utc)
        validities[source.file] = (last.not_valid_before_utc.timestamp(), last.not_valid_after_utc.timestamp())
        der += b"".join(_der(certificate) for certificate in certificates)
    return Authorities(der, {root: frozenset(names) for root, names in domains.items()}, validities)


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _certificates_in(file: Path, read: Callable[[Path], bytes]) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(read(file))
    except FileNotFoundError:
        msg = f"{file}: does not exist"
        raise ConfigError(msg, hint="mount the authority's certificate there, or name the right file") from None
    except OSError as error:
        msg = f"{file}: cannot be read ({error.strerror})"
        raise ConfigError(msg, hint="make it a file that the user of this process can read") from None
    except ValueError:
        msg = f"{file}: is not a PEM file with certificates"
        hint = "it must hold the authorities to trust, each in a BEGIN CERTIFICATE block"
        raise ConfigError(msg, hint=hint) from None
