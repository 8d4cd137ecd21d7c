"""Which authority may name which trust domain, and how that is said."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from devstack.authority import Authority
from strongroom.errors import ConfigError, DeniedError
from strongroom.identity import SpiffeId
from strongroom.service.authorities import Source, parse_sources, read_authorities

OURS, THEIRS = SpiffeId("example.org", "/api"), SpiffeId("partner.example", "/api")


def der(authority: Authority) -> bytes:
    return x509.load_pem_x509_certificate(authority.ca_file.read_bytes()).public_bytes(Encoding.DER)


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "theirs")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/run/ca.crt", (Source(Path("/run/ca.crt")),)),
        ("/run/a=b,c.crt", (Source(Path("/run/a=b,c.crt")),)),
        ("example.org=/a.crt", (Source(Path("/a.crt"), "example.org"),)),
        ("example.org=/a.crt, b.org=b.crt", (Source(Path("/a.crt"), "example.org"), Source(Path("b.crt"), "b.org"))),
    ],
)
def test_how_authorities_are_written(text: str, expected: tuple[Source, ...]) -> None:
    assert parse_sources(text, "client_ca_file") == expected


@pytest.mark.parametrize("text", ["example.org=/a.crt,/b.crt", "example.org=/a.crt,", "", "."])
def test_one_of_several_without_a_trust_domain_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="client_ca_file="):
        parse_sources(text, "client_ca_file")


def test_one_authority_may_name_any_trust_domain(ours: Authority, theirs: Authority) -> None:
    known = read_authorities([Source(ours.ca_file)])
    known.require(der(ours), OURS)
    known.require(der(ours), THEIRS)
    with pytest.raises(DeniedError):
        known.require(der(theirs), OURS)


def test_each_of_several_names_its_own_only(ours: Authority, theirs: Authority) -> None:
    known = read_authorities([Source(ours.ca_file, "example.org"), Source(theirs.ca_file, "partner.example")])
    known.require(der(ours), OURS)
    known.require(der(theirs), THEIRS)
    for root, identity in ((ours, THEIRS), (theirs, OURS)):
        with pytest.raises(DeniedError, match=f"may not name {identity.trust_domain}"):
            known.require(der(root), identity)


def test_several_in_one_file_are_refused_unless_they_are_of_one_trust_domain(
    ours: Authority, theirs: Authority, tmp_path: Path
) -> None:
    both = tmp_path / "both.crt"
    both.write_bytes(ours.ca_file.read_bytes() + theirs.ca_file.read_bytes())
    with pytest.raises(ConfigError, match="holds 2 authorities, and each could name the workloads of all others"):
        read_authorities([Source(both)])
    known = read_authorities([Source(both, "example.org")])  # as while one replaces the other
    known.require(der(ours), OURS)
    known.require(der(theirs), OURS)


def test_a_file_without_a_root_is_refused(ours: Authority) -> None:
    workload = ours.issue_client("workload", identities=(str(OURS),))
    with pytest.raises(ConfigError, match="holds no authority that signed itself"):
        read_authorities([Source(workload.cert)])
    with pytest.raises(ConfigError, match="is not a PEM file with certificates"):
        read_authorities([Source(workload.key)])
    with pytest.raises(ConfigError, match="does not exist"):
        read_authorities([Source(ours.ca_file.with_name("no"))])
