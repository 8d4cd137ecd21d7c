"""A body that is taken away on its way, with its length, which nobody signs, is never taken for an empty one.

Who relays requests in plain HTTP could empty objects and settings otherwise.
"""

import base64
import contextlib
import hashlib
import http.client
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import REGION, SeaweedServer
from s3proxy.s3api.canonical import UNSIGNED_PAYLOAD
from s3proxy.s3api.operation_table import Operation
from s3proxy.s3api.operations import classify
from s3proxy.s3api.rules import RULES
from s3proxy.s3api.sent import COPIES
from s3proxy.s3api.signer import Signer, StoreCredential
from strongroom.secret import Secret
from tests.s3proxy.conftest import client_of
from tests.support.s3.api import example_of
from tests.support.s3.relay import QUIET, StoreRelay

POLICY = """\
[[policy]]
name = "open"
kek = "file"
buckets = ["taken-open"]
mode = "passthrough"

[[policy]]
name = "sealed"
kek = "file"
buckets = ["taken-sealed"]
"""
BUCKETS = ("taken-open", "taken-sealed")
BODY = b"what was signed"
WITHOUT_BODY = {Operation.CREATE_MULTIPART_UPLOAD, Operation.CORS_PREFLIGHT, *COPIES}


def targets_with_body() -> dict[Operation, tuple[str, str]]:
    """Return method, and path below the bucket, of each operation that is offered and could carry a body."""
    found: dict[Operation, tuple[str, str]] = {}
    for operation in RULES:
        if operation in WITHOUT_BODY or operation is Operation.POST_OBJECT:  # of a form the fields are signed
            continue
        head = example_of(operation.value)
        if head.method in {"PUT", "POST"}:
            call = classify(head)
            key = f"/{call.key}" if call.key else ""
            found[operation] = head.method, key + (f"?{head.raw_query}" if head.raw_query else "")
    return found


TARGETS = targets_with_body()
SHA256 = hashlib.sha256(BODY).hexdigest()
CLAIMS: dict[str, tuple[str, dict[str, str]]] = {
    "SHA-256": (SHA256, {}),
    "Content-MD5": (UNSIGNED_PAYLOAD, {"content-md5": base64.b64encode(hashlib.md5(BODY).digest()).decode()}),  # noqa: S324
    "checksum": (UNSIGNED_PAYLOAD, {"x-amz-checksum-sha256": base64.b64encode(bytes.fromhex(SHA256)).decode()}),
    "chunks": ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", {"x-amz-trailer": "x-amz-checksum-crc32"}),
}


class World:
    """A proxy before a relay, and a client that can leave things out."""

    def __init__(self, proxy: ProxyProcess, relay: StoreRelay) -> None:
        self.relay = relay
        self._proxy = proxy
        self._signer = Signer(StoreCredential(proxy.access_key, Secret(proxy.secret_key.encode())), region=REGION)

    def send(self, method: str, target: str, payload: str, claims: dict[str, str], *, length: str | None) -> bytes:
        """Send a request without the body that it was signed with; return status and code."""
        raw_path, _, raw_query = target.partition("?")
        raw_query = "&".join(pair if "=" in pair else f"{pair}=" for pair in raw_query.split("&") if pair)
        signed = self._signer.sign(
            method,
            host=self._proxy.address,
            raw_path=raw_path,
            raw_query=raw_query,
            headers=claims,
            payload_sha256=payload,
            now=datetime.now(UTC),
        )
        with contextlib.closing(http.client.HTTPConnection(self._proxy.address, timeout=30)) as connection:
            connection.putrequest(method, f"{raw_path}?{raw_query}" if raw_query else raw_path)
            lengths = {} if length is None else {"content-length": length}
            for name, value in (claims | signed | lengths).items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            return b"%d %s" % (answer.status, answer.read())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer) -> Iterator[World]:
    with (
        StoreRelay(store.address) as relay,
        ProxyProcess(
            tmp_path_factory.mktemp("taken"), store, policy=POLICY, settings={"store_address": relay.address} | QUIET
        ) as proxy,
        contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3,
    ):
        for bucket in BUCKETS:
            s3.create_bucket(Bucket=bucket)
            s3.put_object(Bucket=bucket, Key="there", Body=BODY)
        relay.settle()
        yield World(proxy, relay)


CASES = [
    pytest.param(operation, claim, id=f"{operation.value}-{claim}")
    for operation in TARGETS
    for claim in CLAIMS
    if (operation, claim) != (Operation.COMPLETE_MULTIPART_UPLOAD, "checksum")  # which is of the object
]


@pytest.mark.parametrize(("operation", "claim"), CASES)
@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_body_that_was_taken_away_is_not_taken_for_an_empty_one(
    world: World, bucket: str, operation: Operation, claim: str
) -> None:
    method, below = TARGETS[operation]
    payload, claims = CLAIMS[claim]
    for length in (None, "0"):
        before = len(world.relay.exchanges)
        answer = world.send(method, f"/{bucket}{below}", payload, claims, length=length)
        came = [one for one in world.relay.exchanges[before:] if one.method in {"PUT", "POST"}]
        assert not answer.startswith(b"2"), answer
        assert [(one.method, one.target) for one in came] == []


@pytest.mark.parametrize("bucket", BUCKETS)
def test_content_without_a_length_is_refused_whatever_was_signed(world: World, bucket: str, bare: Any) -> None:
    answer = world.send("PUT", f"/{bucket}/there", UNSIGNED_PAYLOAD, {}, length=None)
    assert answer.startswith(b"411 ")
    assert bare.head_object(Bucket=bucket, Key="there")["ContentLength"] >= len(BODY)


def test_a_document_that_is_too_long_is_refused_before_it_is_read(world: World) -> None:
    answer = world.send("PUT", "/taken-open?tagging", UNSIGNED_PAYLOAD, {}, length=str(5 << 20))
    assert b"MaxMessageLengthExceeded" in answer


def test_a_request_that_never_had_a_body_needs_no_length(world: World) -> None:
    for payload in (UNSIGNED_PAYLOAD, hashlib.sha256().hexdigest()):
        answer = world.send("POST", "/taken-open/begun?uploads", payload, {}, length=None)
        assert answer.startswith(b"200 "), answer
