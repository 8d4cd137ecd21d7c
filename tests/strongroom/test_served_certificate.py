"""What is said of a server's own certificate: ahead of its end, and of what clients will not take."""

import datetime as dt
import logging
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from devstack.authority import Authority
from strongroom.service.served_certificate import EndWatch, ServedCertificate, read_served, warn_of_faults
from strongroom.service.tls_alert import claims_in
from strongroom.service.tls_reload import ReloadingServerContext

DAY_S = 86_400.0
NOW = 1_800_000_000.0


def certificate(*, lifetime_s: float = 90 * DAY_S, end: float = NOW) -> ServedCertificate:
    return ServedCertificate("tls.crt", end - lifetime_s, end)


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, int]]:
    records = [(record.msg, record.levelno) for record in caplog.records]
    caplog.clear()
    return records


@pytest.fixture(autouse=True)
def _listen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="strongroom")


def test_the_end_is_told_a_week_and_a_day_ahead_and_when_it_has_come(caplog: pytest.LogCaptureFixture) -> None:
    watch = EndWatch()
    seen = {}
    for hours_left in range(10 * 24, -24, -1):
        watch.look(certificate(), NOW - hours_left * 3600)
        for event in told(caplog):
            seen[hours_left] = event
    assert seen == {
        7 * 24: ("certificate_ends", logging.WARNING),
        24: ("certificate_ends", logging.WARNING),
        0: ("certificate_ended", logging.ERROR),
    }


def test_one_of_an_hour_is_not_spoken_of_until_it_should_have_been_renewed(caplog: pytest.LogCaptureFixture) -> None:
    watch = EndWatch()
    watch.look(certificate(lifetime_s=3600), NOW - 1800)
    assert told(caplog) == []
    watch.look(certificate(lifetime_s=3600), NOW - 300)
    assert told(caplog) == [("certificate_ends", logging.WARNING)]


def test_a_start_near_the_end_says_it_once(caplog: pytest.LogCaptureFixture) -> None:
    watch = EndWatch()
    for _ in range(3):
        watch.look(certificate(), NOW - 3600)
    assert told(caplog) == [("certificate_ends", logging.WARNING)]


def test_a_new_certificate_ends_anew(caplog: pytest.LogCaptureFixture) -> None:
    watch = EndWatch()
    watch.look(certificate(), NOW - 3600)
    watch.look(certificate(end=NOW + 90 * DAY_S), NOW)
    told(caplog)
    watch.look(certificate(end=NOW + 90 * DAY_S), NOW + 89.5 * DAY_S)
    assert told(caplog) == [("certificate_ends", logging.WARNING)]


def issue(*extensions: x509.ExtensionType) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bridge.example.org")])
    builder = x509.CertificateBuilder(issuer_name=name, subject_name=name).public_key(key.public_key())
    moment = dt.datetime.fromtimestamp(NOW, dt.UTC)
    builder = builder.serial_number(1).not_valid_before(moment).not_valid_after(moment + dt.timedelta(days=90))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


HOST = x509.SubjectAlternativeName([x509.DNSName("bridge.example.org")])
IDENTITY = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("spiffe://example.org/bridge")])
SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
# A name of a kind that nothing here reads (x400Address), and no names at all.
ODD = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x02\xa3\x00")
BROKEN = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x7f")
BOTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])


@pytest.mark.parametrize(
    ("extensions", "words"),
    [
        ((HOST, SERVER), []),
        ((HOST,), []),
        ((HOST, BOTH), []),
        ((), ["subjectAltName"]),
        ((IDENTITY, SERVER), ["subjectAltName"]),
        ((HOST, CLIENT), ["serverAuth"]),
        ((CLIENT,), ["subjectAltName", "serverAuth"]),
        ((ODD,), ["malformed"]),
        ((BROKEN,), ["malformed"]),
    ],
)
def test_what_clients_will_refuse_is_said_by_name(
    caplog: pytest.LogCaptureFixture, extensions: tuple[x509.ExtensionType, ...], words: list[str]
) -> None:
    found = read_served("tls.crt", issue(*extensions), NOW)
    assert len(found.faults) == len(words)
    assert all(word in fault for word, fault in zip(words, found.faults, strict=True))
    warn_of_faults(found)
    assert told(caplog) == [("certificate_unfit", logging.WARNING)] * len(words)


def test_a_chain_that_has_ended_is_a_fault_and_does_not_count_as_the_end(tmp_path: Path) -> None:
    chain = issue(HOST)  # ends 90 days behind NOW
    own = Authority(tmp_path).issue_server("server", not_after=dt.datetime(2036, 1, 1, tzinfo=dt.UTC)).cert.read_bytes()
    found = read_served("tls.crt", own + chain, NOW + 91 * DAY_S)
    assert found.not_after == dt.datetime(2036, 1, 1, tzinfo=dt.UTC).timestamp()
    assert [fault.partition(":")[0] for fault in found.faults] == ["a certificate of its chain has ended"]


def test_the_last_root_of_the_clients_is_told_of_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority = Authority(tmp_path)  # its root lives for two weeks, and ends in one
    own = authority.issue_server("server")
    short = issue_root(dt.timedelta(days=30), ends=dt.timedelta(days=2))
    clients = tmp_path / "clients.crt"
    clients.write_bytes(short)
    ReloadingServerContext(ca_file=clients, cert_file=own.cert, key_file=own.key).poll()
    assert ("authority_ends", logging.WARNING) in told(caplog)
    clients.write_bytes(short + issue_root(dt.timedelta(days=30), ends=dt.timedelta(days=300)))
    both = f"example.org={clients}"
    ReloadingServerContext(ca_file=both, cert_file=own.cert, key_file=own.key).poll()
    assert "authority_ends" not in [event for event, _ in told(caplog)]


def issue_root(age: dt.timedelta, *, ends: dt.timedelta) -> bytes:
    now = dt.datetime.now(dt.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"root of {ends}")])
    builder = x509.CertificateBuilder(issuer_name=name, subject_name=name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - age).not_valid_after(now + ends)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("extension", [ODD, BROKEN])
def test_a_stranger_with_odd_names_is_told_of_by_the_rest(extension: x509.ExtensionType) -> None:
    der = ssl.PEM_cert_to_DER_cert(issue(extension).decode())
    claims = claims_in(bytes(5) + bytes(3) + len(der).to_bytes(3) + der)
    assert claims.keys() == {"claimed_subject", "claimed_not_before", "claimed_not_after"}


def test_a_stranger_with_a_version_that_is_none_is_told_of_by_nothing() -> None:
    der = ssl.PEM_cert_to_DER_cert(issue().decode()).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x63", 1)
    with pytest.raises(x509.InvalidVersion):
        x509.load_der_x509_certificate(der)
    assert claims_in(bytes(5) + bytes(3) + len(der).to_bytes(3) + der) == {}


@given(st.binary(max_size=300))
def test_any_message_at_all_claims_nothing(message: bytes) -> None:
    assert claims_in(message) == {}
