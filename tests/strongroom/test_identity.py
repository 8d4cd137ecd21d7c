"""SPIFFE identities: examples of the specification, and certificates that name none or several."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import DeniedError
from strongroom.identity import identity_of, parse_spiffe_id


@pytest.mark.parametrize(
    ("uri", "trust_domain", "path"),
    [
        ("spiffe://example.org/ns/shop/sa/api", "example.org", "/ns/shop/sa/api"),
        ("spiffe://example.org", "example.org", ""),
        # SPIFFE-ID, section 2.1 and 2.2
        ("spiffe://acme.com/billing/payments", "acme.com", "/billing/payments"),
        ("spiffe://k8s-west.example.com/ns/staging/sa/default", "k8s-west.example.com", "/ns/staging/sa/default"),
        (
            "spiffe://example.com/9eebccd2-12bf-40a6-b262-65fe0487d453",
            "example.com",
            "/9eebccd2-12bf-40a6-b262-65fe0487d453",
        ),
        ("spiffe://1.2.3.4/service", "1.2.3.4", "/service"),
    ],
)
def test_legal_identities(uri: str, trust_domain: str, path: str) -> None:
    identity = parse_spiffe_id(uri)
    assert (identity.trust_domain, identity.path, str(identity)) == (trust_domain, path, uri)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "example.org/a",
        "https://example.org/a",
        "SPIFFE://example.org/a",
        "spiffe:/example.org/a",
        "spiffe:///a",
        "spiffe://Example.org/a",
        "spiffe://user@example.org/a",
        "spiffe://example.org:8443/a",
        "spiffe://example.org/",
        "spiffe://example.org/a/",
        "spiffe://example.org//a",
        "spiffe://example.org/./a",
        "spiffe://example.org/a/..",
        "spiffe://example.org/a?b",
        "spiffe://example.org/a#b",
        "spiffe://example.org/%61",
        "spiffe://example.org/a b",
        "spiffe://example.org/ü",
        "spiffe://example.org/a\n",
        "spiffe://example.org\n",
        "spiffe://example.org/a\0",
        "spiffe://spiffe://example.org/a",
        "spiffe://" + "a" * 256 + "/a",
        "spiffe://example.org/" + "a" * 2048,
    ],
)
def test_anything_else_is_no_identity(uri: str) -> None:
    with pytest.raises(DeniedError, match="is not a SPIFFE identity"):
        parse_spiffe_id(uri)


@given(st.text(string.printable))
def test_no_text_makes_another_error_or_another_text(text: str) -> None:
    try:
        identity = parse_spiffe_id(f"spiffe://example.org/{text}")
    except DeniedError:
        return
    assert str(identity) == f"spiffe://example.org/{text}"
    assert not set(text) & set("?#%*\\ \n\r\t")


def test_the_one_uri_of_a_certificate_is_the_identity() -> None:
    names = (("DNS", "spiffe://example.org/not/me"), ("URI", "spiffe://example.org/me"))
    assert str(identity_of({"subjectAltName": names})) == "spiffe://example.org/me"


@pytest.mark.parametrize(
    "certificate",
    [
        None,
        {},
        {"subjectAltName": ()},
        {"subjectAltName": (("DNS", "example.org"),)},
        {"subjectAltName": (("URI", "spiffe://example.org/a"), ("URI", "spiffe://example.org/b"))},
        {"subjectAltName": (("URI", "spiffe://example.org/a"), ("URI", "spiffe://example.org/a"))},
        {"subject": ((("commonName", "spiffe://example.org/a"),),)},
    ],
)
def test_none_or_several_are_denied(certificate: dict[str, object] | None) -> None:
    with pytest.raises(DeniedError, match="URI names, not one"):
        identity_of(certificate)
