"""What an operator sees: reloads, rotation, drain, health, metrics, a start that is refused."""

import contextlib
import http.client
import json
import signal
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bridge.settings import PREFIX, BridgeSettings
from devstack.authority import Authority
from devstack.openbao import OpenBaoServer
from strongroom.errors import ConfigError
from strongroom.service.listening import parse_listen
from strongroom.service.settings import settings_in
from tests.bridge.conftest import PATIENT, MakeBridge
from tests.support.bridge.process import POLICY, BridgeProcess, Reply, bundle_request
from tests.support.process.waiting import wait_for

REQUEST = bundle_request(X="bao:kv/shop/db#user")


def test_a_policy_edit_counts_and_a_broken_one_keeps_the_old(make_bridge: MakeBridge) -> None:
    bridge = make_bridge()
    assert bridge.bundle(REQUEST).status == 200
    bridge.policy_file.write_text(POLICY.replace("kv/shop", "kv/other"))
    wait_for(lambda: bridge.bundle(REQUEST).status == 403, "the new policy counts")
    bridge.policy_file.write_text("[[grant")
    wait_for(lambda: bridge.events("policy_reload_failed"), "the broken edit is noticed")
    assert bridge.bundle(REQUEST).status == 403
    readiness = bridge.look("/readyz")
    assert readiness.status == 200  # the old policy works
    policy = readiness.document["policy"]
    assert isinstance(policy, dict)
    assert "an older policy is in force" in policy["detail"]
    assert bridge.metric("strongroom_bridge_policy_stale") == 1
    assert bridge.metric('strongroom_bridge_reloads_total{outcome="failed",what="policy"}') == 1
    bridge.policy_file.write_text(POLICY)
    wait_for(lambda: bridge.bundle(REQUEST).status == 200, "the mended policy counts")
    assert bridge.metric("strongroom_bridge_policy_stale") == 0


def fingerprint(bridge: BridgeProcess) -> bytes | None:
    """The certificate that the bridge shows."""
    with bridge.connection() as tls:
        return tls.getpeercert(binary_form=True)


def test_certificates_are_followed_without_dropping_connections(make_bridge: MakeBridge, authority: Authority) -> None:
    bridge = make_bridge()
    old = fingerprint(bridge)
    with bridge.connection() as kept:
        bridge.server_files.cert.write_text("broken")
        wait_for(lambda: bridge.events("tls_reload_failed"), "the broken certificate is noticed")
        assert fingerprint(bridge) == old
        assert bridge.metric('strongroom_bridge_reloads_total{outcome="failed",what="tls"}') >= 1
        authority.issue_server(bridge.server_files.cert.stem)
        wait_for(lambda: fingerprint(bridge) != old, "the new certificate is shown")
        kept.sendall(b"POST /v1/plan HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        assert kept.recv(12) == b"HTTP/1.1 200"


def test_an_authority_that_is_taken_out_lets_its_clients_in_no_more(
    make_bridge: MakeBridge, authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other")
    ca_file = tmp_path / "clients.crt"
    ca_file.write_bytes(authority.ca_file.read_bytes() + other.ca_file.read_bytes())
    bridge = make_bridge(client_ca_file=f"example.org={ca_file}")  # as while one authority replaces another
    stranger = other.issue_client("stranger", identities=("spiffe://example.org/ns/shop/sa/api",))

    def is_let_in() -> bool:
        try:
            return bridge.bundle(REQUEST, client=stranger).status == 200
        except (ssl.SSLError, OSError):
            return False

    assert is_let_in()
    ca_file.write_bytes(authority.ca_file.read_bytes())
    wait_for(lambda: not is_let_in(), "the authority counts no more")
    assert bridge.bundle(REQUEST).status == 200


def test_nothing_is_answered_that_cannot_be_audited(make_bridge: MakeBridge) -> None:
    bridge = make_bridge(audit_file="/dev/full")
    reply = bridge.bundle(REQUEST)
    assert (reply.status, "Retry-After" in reply.headers) == (503, True)
    assert "the audit record could not be written" in reply.detail
    assert b"app" not in reply.body
    refusal = bridge.bundle(bundle_request(X="bao:kv/other#k"))
    assert refusal.status == 503
    readiness = bridge.look("/readyz")
    assert readiness.status == 503
    assert readiness.document["audit"] == {"ok": False, "detail": "No space left on device"}


def test_an_audit_log_on_stdout(make_bridge: MakeBridge) -> None:
    bridge = make_bridge(audit_file="-")
    reply = bridge.bundle(REQUEST)
    request_id = reply.headers["X-Request-Id"]
    assert f'"request_id": "{request_id}", "operation": "bundle", "name": "X", "path": "kv/shop/db"' in bridge.log


def test_sighup_opens_the_audit_log_again(make_bridge: MakeBridge) -> None:
    bridge = make_bridge()
    bridge.bundle(REQUEST)
    bridge.audit_file.rename(bridge.audit_file.with_suffix(".1"))
    bridge.process.send_signal(signal.SIGHUP)
    wait_for(lambda: bridge.events("audit_reopened") and bridge.events("policy_reloaded"), "the signal is handled")
    bridge.bundle(REQUEST)
    assert len(bridge.audit()) == 1


def test_rotation_and_the_end_make_progress_on_a_slow_disk_under_load(make_bridge: MakeBridge) -> None:
    """With 16 callers at once there is always a record to write; each fsync takes 30 ms."""
    bridge = make_bridge("-m", "tests.support.bridge.slow_disk", "30")
    rotated = bridge.audit_file.with_suffix(".1")
    end = threading.Event()
    answered: list[int] = []

    def keep_asking() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):  # the bridge has ended
            while not end.is_set():
                answered.append(bridge.bundle(REQUEST).status)

    with ThreadPoolExecutor(16) as pool:
        try:
            callers = [pool.submit(keep_asking) for _ in range(16)]
            wait_for(lambda: len(answered) > 32, "all are under way")
            bridge.audit_file.rename(rotated)
            bridge.process.send_signal(signal.SIGHUP)
            wait_for(lambda: bridge.events("audit_reopened"), "the log is opened again")  # while there is load
            size, asked = rotated.stat().st_size, len(answered)
            wait_for(lambda: len(answered) > asked + 64, "callers go on")
            assert rotated.stat().st_size == size
            bridge.process.send_signal(signal.SIGTERM)
            assert bridge.process.wait(60) == 0
        finally:
            end.set()
        for caller in callers:
            caller.result()
    assert set(answered) == {200}
    assert len(rotated.read_text().splitlines()) + len(bridge.audit()) >= len(answered)


def test_sigterm_finishes_what_is_at_work_and_takes_no_more(
    make_bridge: MakeBridge, authority: Authority, tmp_path: Path
) -> None:
    with OpenBaoServer(tmp_path / "openbao", authority) as bao:
        bao.write_token_file(tmp_path / "root")
        bao.admin.enable_kv("kv", version=2)
        bao.admin.put_v2("kv", "shop/db", {"user": "app"})
        bridge = make_bridge(openbao_address=bao.address, openbao_token_file=tmp_path / "root", **PATIENT)
        assert bridge.bundle(REQUEST).status == 200
        wait_for(lambda: bridge.look("/readyz").status == 200, "it is ready")
        bao.pause()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(bridge.bundle, REQUEST)
            wait_for(lambda: bridge.metric("strongroom_bridge_requests_in_flight") == 1, "a request is in flight")
            bridge.process.send_signal(signal.SIGTERM)
            wait_for(lambda: bridge.events("draining"), "the drain begins")
            with pytest.raises(OSError, match="refused"):
                bridge.bundle(REQUEST)
            assert bridge.process.poll() is None
            bao.resume()
            assert waiting.result().values == {"X": "app"}
        assert bridge.process.wait(60) == 0
        assert len(bridge.audit()) == 2
        assert not bridge.events("drain_incomplete")


def test_readiness_during_a_drain(make_bridge: MakeBridge) -> None:
    """A body that never ends keeps one request in flight until the drain timeout."""
    bridge = make_bridge(drain_timeout_s=5.0, body_timeout_s=60)

    def unready() -> Reply | None:
        reply = bridge.look("/readyz")
        return reply if reply.status == 503 else None

    with bridge.connection() as tls:
        tls.sendall(b"POST /v1/bundle HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        wait_for(lambda: bridge.metric("strongroom_bridge_requests_in_flight") == 1, "a request is in flight")
        bridge.process.send_signal(signal.SIGTERM)
        reply = wait_for(unready, "readyz says no")
        assert reply is not None
        assert reply.document["process"] == {"ok": False, "detail": "shutting down"}
        assert bridge.process.wait(60) == 0
    assert bridge.events("drain_incomplete")


def test_metrics_tell_what_happened(make_bridge: MakeBridge, bao: OpenBaoServer, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(bao.admin.create_token(policies=["reader"], ttl="1h"))  # the others' may be old
    bridge = make_bridge(openbao_token_file=tmp_path / "token")
    bridge.bundle(bundle_request(A="bao:kv/shop/db#user", B="bao:kv/shop/db#nothing?optional"))
    bridge.bundle(bundle_request(A="bao:kv/other#user"))
    bridge.post("/a/path/of/the/callers/choice", b"")
    expected = {
        'strongroom_bridge_request_seconds_count{route="/v1/bundle",status="200"}': 1,
        'strongroom_bridge_request_seconds_count{route="/v1/bundle",status="403"}': 1,
        'strongroom_bridge_request_seconds_count{route="other",status="404"}': 1,
        'strongroom_bridge_secrets_total{decision="allowed"}': 1,
        'strongroom_bridge_secrets_total{decision="missing"}': 1,
        'strongroom_bridge_secrets_total{decision="denied"}': 1,
        'strongroom_bridge_openbao_call_seconds_count{operation="read",outcome="200"}': 1,
        'strongroom_bridge_openbao_call_seconds_count{operation="mount",outcome="200"}': 1,
        'strongroom_bridge_audit_write_seconds_count{outcome="ok"}': 2,
        "strongroom_bridge_requests_in_flight": 0,
    }
    assert {sample: bridge.metric(sample) for sample in expected} == expected
    assert 3000 < bridge.metric("strongroom_bridge_openbao_token_ttl_seconds") <= 3600
    loaded = bridge.metric("strongroom_bridge_policy_loaded_timestamp_seconds")
    assert bridge.metric("strongroom_bridge_tls_certificate_expiry_timestamp_seconds") > loaded > 1e9


def test_listening_is_one_line_of_json(make_bridge: MakeBridge) -> None:
    bridge = make_bridge()
    (event,) = bridge.events("listening")
    assert event["https"] == f"127.0.0.1:{bridge.https[1]}"
    assert event["health"] == f"127.0.0.1:{bridge.health[1]}"
    assert event["pid"] == bridge.process.pid


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"policy_file": "/no/policy"}, "/no/policy: does not exist"),
        ({"tls_cert_file": "/no/cert"}, "/no/cert: does not exist"),
        ({"client_ca_file": "/dev/null"}, "/dev/null: is not a PEM file with certificates"),
        ({"openbao_token_file": "/no/token"}, "/no/token: does not exist"),
        ({"openbao_role_id_file": "/x"}, "there must be one way to log in"),
        ({"openbao_address": "http://openbao:8200"}, "must be https"),
        ({"audit_file": "/no/dir/audit"}, "audit_file=/no/dir/audit: cannot be opened"),
        ({"listen": "8443"}, "listen=8443: must be [HOST]:PORT"),
        ({"listen": "192.0.2.1:0"}, "listen=192.0.2.1:0: cannot be listened on"),
        ({"max_requests": "0"}, "'0' must be at least 1"),
        ({"colour": "red"}, "--colour: there is no such setting"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_two_lines(
    bridge: BridgeProcess, tmp_path: Path, changes: dict[str, str], complaint: str
) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    given = {
        "listen": "127.0.0.1:0",
        "health_listen": "127.0.0.1:0",
        "tls_cert_file": str(bridge.server_files.cert),
        "tls_key_file": str(bridge.server_files.key),
        "client_ca_file": str(bridge.authority.ca_file),
        "policy_file": str(policy),
        "openbao_address": "https://127.0.0.1:1",
        "openbao_token_file": str(policy.with_name("token")),
        **changes,
    }
    policy.with_name("token").write_text("t")
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    done = subprocess.run(
        [sys.executable, "-m", "bridge", *flags], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    error, hint = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert error.startswith("strongroom: error: ")
    assert complaint in error
    assert hint.startswith("strongroom: hint: ")


REQUIRED = ("tls_cert_file", "tls_key_file", "client_ca_file", "policy_file", "openbao_token_file")


def print_of(*arguments: str) -> str:
    """Return what a bridge prints; in a process of its own, because it gives up core dumps first of all."""
    command = [sys.executable, "-m", "bridge", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_print_config_shows_what_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "bridge.toml"
    config.write_text(
        "".join(f'{name} = "/x"\n' for name in REQUIRED) + 'openbao_address = "https://a"\nmax_requests = 9\n'
    )
    monkeypatch.setenv(PREFIX + "MAX_REQUESTS", "8")
    monkeypatch.setenv(PREFIX + "SERVICE_HOST", "10.0.0.1")  # Kubernetes sets these for a Service of this name
    monkeypatch.setenv(PREFIX + "PORT_8443_TCP_ADDR", "10.0.0.1")
    shown = print_of("--config", str(config), "--print-config", "--audit-durability=write")
    assert "max_requests = 8\n" in shown
    assert 'audit_durability = "write"\n' in shown
    assert 'listen = ":8443"\n' in shown


def test_help_names_every_setting() -> None:
    shown = print_of("--help")
    for name in settings_in(BridgeSettings):
        assert f"--{name.replace('_', '-')} ({PREFIX}{name.upper()})" in shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (":8443", (None, 8443)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:1", ("::1", 1)),
        ("bridge:443", ("bridge", 443)),
    ],
)
def test_addresses_to_listen_on(text: str, expected: tuple[str | None, int]) -> None:
    assert parse_listen(text, "listen") == expected


@pytest.mark.parametrize("text", ["", "8443", "::1:443", ":", ":x", ":65536", "a:-1"])
def test_malformed_addresses_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="listen="):
        parse_listen(text, "listen")


def test_no_descriptor_is_left_open_by_requests(bridge: BridgeProcess) -> None:
    def count() -> int:
        return sum(1 for _ in Path(f"/proc/{bridge.process.pid}/fd").iterdir())

    bridge.bundle(REQUEST)
    before = count()
    for _ in range(20):
        assert bridge.bundle(REQUEST).status == 200
    wait_for(lambda: count() <= before, "the descriptors are closed")
    assert json.loads(bridge.look("/healthz").body) == {"ok": True}
