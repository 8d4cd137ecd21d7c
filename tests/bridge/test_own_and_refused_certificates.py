"""What the bridge says of certificates: of its own before and when it ends, and of callers' that it refuses."""

import contextlib
import datetime as dt
import shutil
import ssl
from pathlib import Path

import pytest

from devstack.authority import Authority
from strongroom.service.tls_alert import claims_in
from tests.bridge.conftest import MakeBridge
from tests.bundle.roots import open_directory
from tests.support.bridge.process import SHOP, BridgeProcess, bundle_request
from tests.support.process.waiting import wait_for

NOW = dt.datetime.now(dt.UTC)
HOUR = dt.timedelta(hours=1)


def refused(bridge: BridgeProcess, context: ssl.SSLContext) -> dict[str, object]:
    """Connect, be refused, and return what the log says of it."""
    before = len(bridge.events("peer_certificate_refused"))
    with contextlib.suppress(ssl.SSLError, OSError):
        bridge.post("/v1/plan", b"{}", context=context)
    wait_for(lambda: len(bridge.events("peer_certificate_refused")) > before, "the refusal is logged")
    return bridge.events("peer_certificate_refused")[-1]


def test_who_was_refused_is_in_the_log(bridge: BridgeProcess, authority: Authority) -> None:
    expired = authority.issue_client("gone", identities=(SHOP,), not_before=NOW - 2 * HOUR, not_after=NOW - HOUR)
    said = refused(bridge, bridge.context(expired))
    assert said["reason"] == "certificate has expired"
    assert said["peer"] == "127.0.0.1"
    assert said["claimed_subject"] == "CN=gone"
    assert said["claimed_names"] == SHOP
    assert str(said["claimed_not_after"]).startswith((NOW - HOUR).strftime("%Y-%m-%dT%H:%M"))


def test_a_stranger_has_only_claims_and_they_are_short(bridge: BridgeProcess, tmp_path: Path) -> None:
    names = tuple(f"spiffe://example.org/\x1b[31m{number}{'x' * 500}" for number in range(9))
    stranger = Authority(tmp_path / "stranger").issue_client("me", identities=names)
    said = refused(bridge, bridge.context(stranger))
    assert "issuer" in str(said["reason"])
    assert not {key for key in said if "subject" in key or "names" in key} - {"claimed_subject", "claimed_names"}
    assert len(str(said["claimed_names"])) < 1000
    assert str(said["claimed_names"]).isprintable()


def test_one_that_shows_none_has_an_address(bridge: BridgeProcess, authority: Authority) -> None:
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    before = len(bridge.events("peer_certificate_missing"))
    with contextlib.suppress(ssl.SSLError, OSError):
        bridge.post("/v1/plan", b"{}", context=context)
    wait_for(lambda: len(bridge.events("peer_certificate_missing")) > before, "the refusal is logged")
    assert bridge.events("peer_certificate_missing")[-1]["peer"] == "127.0.0.1"


@pytest.mark.parametrize("size", range(0, 600, 7))
def test_messages_that_are_cut_claim_nothing_or_the_same(size: int, authority: Authority) -> None:
    der = ssl.PEM_cert_to_DER_cert(authority.issue_server("any").cert.read_text())
    message = bytes(5) + (len(der) + 5).to_bytes(3) + len(der).to_bytes(3) + der
    whole = claims_in(message)
    assert whole["claimed_subject"] == "CN=any"
    assert claims_in(message[: min(size, len(message) - 1)]) == {}


def test_the_end_of_its_own_certificate_is_told_and_ends_readiness(
    make_bridge: MakeBridge, authority: Authority
) -> None:
    own = authority.issue_server("short")
    bridge = make_bridge(tls_cert_file=own.cert, tls_key_file=own.key)
    end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=10)  # now, so that a slow start does not use it up
    authority.issue_server("short", not_before=end - 30 * dt.timedelta(days=1), not_after=end)
    wait_for(lambda: bridge.events("certificate_ends"), "the end is told ahead")
    told = bridge.events("certificate_ends")[-1]
    assert told["file"] == str(own.cert)
    assert told["not_after"] == end.strftime("%Y-%m-%d %H:%M UTC")
    assert "renew it" in str(told["hint"])
    tls = bridge.look("/readyz").document["tls"]
    assert isinstance(tls, dict)
    assert tls["detail"] == f"the certificate holds until {told['not_after']}"
    wait_for(lambda: bridge.events("certificate_ended"), "the end is told")
    wait_for(lambda: bridge.look("/readyz").status == 503, "readiness ends")
    authority.issue_server("short")
    wait_for(lambda: bridge.look("/readyz").status == 200, "a new one is taken up")
    assert bridge.bundle(bundle_request(PW="bao:kv/shop/db#password")).status == 200
    assert bridge.metric("strongroom_bridge_tls_certificate_expiry_timestamp_seconds") > end.timestamp()


@pytest.mark.parametrize(("hosts", "word"), [((), "subjectAltName"), (("localhost",), "")])
def test_one_without_a_name_is_warned_of_at_the_start(
    make_bridge: MakeBridge, authority: Authority, hosts: tuple[str, ...], word: str
) -> None:
    own = authority.issue_server("names", hosts=hosts)
    bridge = make_bridge(tls_cert_file=own.cert, tls_key_file=own.key)
    assert [word in str(event["reason"]) for event in bridge.events("certificate_unfit")] == [True] * bool(word)


def test_one_for_clients_alone_is_warned_of_at_the_start(make_bridge: MakeBridge, authority: Authority) -> None:
    own = authority.issue_client("wrong", identities=(SHOP,))
    bridge = make_bridge(tls_cert_file=own.cert, tls_key_file=own.key)
    reasons = " ".join(str(event["reason"]) for event in bridge.events("certificate_unfit"))
    assert "serverAuth" in reasons
    assert "subjectAltName" in reasons


def test_a_key_that_everybody_may_read_is_warned_of_at_the_start(make_bridge: MakeBridge, authority: Authority) -> None:
    own = authority.issue_server("open")
    with open_directory() as folder:
        key = Path(shutil.copy(own.key, folder))
        key.chmod(0o644)
        bridge = make_bridge(tls_cert_file=own.cert, tls_key_file=key)
    told = [str(event["reason"]) for event in bridge.events("open_file")]
    assert told == [f"tls_key_file={key}: may be read by everybody (mode 0644)"]


def test_one_that_names_no_workload_is_told_by_its_subject(bridge: BridgeProcess, authority: Authority) -> None:
    nameless = authority.issue_client("nameless", identities=("https://example.org/me",))
    reply = bridge.post("/v1/plan", b"{}", context=bridge.context(nameless))
    assert reply.status == 403
    request_id = reply.headers["X-Request-Id"]
    wait_for(lambda: any(event["request_id"] == request_id for event in bridge.events("request")), "it is logged")
    said = next(event for event in bridge.events("request") if event["request_id"] == request_id)
    assert str(said["certificate"]).startswith("commonName=nameless; URI:https://example.org/me; until ")
    assert "is not a SPIFFE identity" in str(said["reason"])
    assert said["peer"] == "127.0.0.1"
