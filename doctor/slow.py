"""What makes each launch slower than it has to be: traps that nothing else shows, since launches work."""

import ssl
import time
from collections.abc import Iterator

from doctor.certificate import ClientCertificate
from doctor.page import Finding, Status

_MANY = 10  # authorities; who signs bridges is one, or two while one takes the other's place


def probe_slowness(ca_file: str, cert_file: str, certificate: ClientCertificate) -> Iterator[Finding]:
    """Yield a note for each trap that is sprung.

    Args:
        ca_file: authorities of the bridge's certificate, which can be read.
        cert_file: the client's certificate.
        certificate: what is in it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    began = time.perf_counter()
    context.load_verify_locations(ca_file)
    took_ms = (time.perf_counter() - began) * 1000
    count = context.cert_store_stats()["x509"]
    if count > _MANY:
        says = f"{ca_file}: holds {count} of them, and reading them took {took_ms:.0f} ms, as it does at each launch"
        hint = "give --ca a file with the one that signs the bridge's certificate: each of them could pass for it"
        yield Finding("authorities", Status.NOTE, says, hint)
    if certificate.has_rsa_key:
        says = f"{cert_file}: has an RSA key, which signs at each launch: 0.2 ms with 2048 bits, 2 ms with 4096"
        hint = "issue it with an ECDSA key (P-256), which takes 0.02 ms; for cert-manager privateKey.algorithm: ECDSA"
        yield Finding("client key", Status.NOTE, says, hint)
