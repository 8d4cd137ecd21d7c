"""The same header, said in three ways, is one request to the store: as a header, in a presigned URL, as a form's field.

A relay before a real store shows what comes out of a real proxy. The attacks that two views of a request made possible
are tried as their senders would.
"""

import contextlib
import http.client
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from botocore.exceptions import ClientError
from urllib3.filepost import encode_multipart_formdata

from devstack.authority import write_private
from devstack.s3proxy import ProxyProcess
from devstack.seaweed import REGION, SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.s3proxy.s3api.test_one_view import HEADERS
from tests.support.process.waiting import until_settled
from tests.support.s3.relay import Exchange, StoreRelay

POLICY = """\
[[policy]]
name = "plain"
kek = "file"
buckets = ["view-mine", "view-theirs"]
mode = "passthrough"

[[policy]]
name = "sealed"
kek = "file"
buckets = ["view-sealed"]
"""
OWNER, MALLORY = ("OWNER", "owner-owner-owner-owner"), ("MALLORY", "mallory-mallory-mallory")
CREDENTIALS = f"""\
[[credential]]
access_key_id = "{OWNER[0]}"
secret_key = "{OWNER[1]}"
[[credential.grant]]
buckets = ["*"]
rights = ["read", "write", "list", "delete", "admin"]

[[credential]]
access_key_id = "{MALLORY[0]}"
secret_key = "{MALLORY[1]}"
[[credential.grant]]
buckets = ["view-mine"]
rights = ["read", "write", "list", "delete"]
[[credential.grant]]
buckets = ["view-sealed"]
prefixes = ["public/"]
rights = ["read", "write", "list", "delete"]

[[anonymous]]
buckets = ["view-mine", "view-sealed"]
prefixes = ["public/"]
rights = ["read"]
"""
SYSTEM = "view-system"
SECRET = b"of somebody else"
# Of each connection, or of the body as the proxy sends it: sealed, framed and summed by itself.
OF_THE_PROXY = (
    "authorization", "content-encoding", "content-length", "content-md5", "host", "x-amz-checksum-",
    "x-amz-content-sha256", "x-amz-date", "x-amz-decoded-content-length", "x-amz-meta-seg1",
    "x-amz-sdk-checksum-algorithm", "x-amz-trailer",
)  # fmt: skip


class World:
    """A proxy with three clients, a relay behind it, and what goes through both."""

    def __init__(self, proxy: ProxyProcess, relay: StoreRelay, bare: Any) -> None:
        self.proxy, self.relay, self.bare = proxy, relay, bare
        self.owner = client_of(proxy.url, *OWNER, signature_version="s3v4")
        self.mallory = client_of(proxy.url, *MALLORY, signature_version="s3v4")

    def send(  # noqa: PLR0913 - the parts of a request
        self,
        method: str,
        target: str,
        *,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        who: tuple[str, str] | None = MALLORY,
        hoist: bool = False,
    ) -> tuple[int, bytes]:
        """Send a request that botocore signs: its headers as such, or moved into the query of a URL."""
        sent = dict(headers or {})
        if hoist:
            target += "".join(
                f"{'&' if number or '?' in target else '?'}{quote(name.title())}={quote(value, safe='')}"
                for number, (name, value) in enumerate(sent.items())
            )
            sent = {}
        request = AWSRequest(method=method, url=f"{self.proxy.url}{target}", headers=sent, data=None if hoist else body)
        if who is not None:
            signer: Any = auth.S3SigV4QueryAuth if hoist else auth.S3SigV4Auth
            signer(BotoCredentials(*who), "s3", REGION).add_auth(request)
        raw_target = request.url.removeprefix(self.proxy.url)
        with contextlib.closing(http.client.HTTPConnection(self.proxy.address, timeout=60)) as connection:
            connection.request(method, raw_target, body if method in {"PUT", "POST"} else None, dict(request.headers))
            answer = connection.getresponse()
            return answer.status, answer.read()

    def post(self, bucket: str, key: str, fields: dict[str, str], who: tuple[str, str]) -> int:
        """Upload by a form that allows all its fields."""
        client = self.owner if who == OWNER else self.mallory
        post = client.generate_presigned_post(
            bucket, key, Fields=fields, Conditions=[{n: v} for n, v in fields.items()]
        )
        body, content_type = encode_multipart_formdata([*post["fields"].items(), ("file", ("f", b"x", "text/plain"))])
        with contextlib.closing(http.client.HTTPConnection(self.proxy.address, timeout=60)) as connection:
            connection.request("POST", f"/{bucket}", body, {"Content-Type": content_type})
            answer = connection.getresponse()
            answer.read()
            return answer.status


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, bare: Any) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("view")
    write_private(directory / "clients.toml", CREDENTIALS.encode())
    with StoreRelay(store.address) as relay:
        settings = {
            "credentials_file": str(directory / "clients.toml"),
            "store_address": relay.address,
            "system_bucket": SYSTEM,
            "reload_interval_s": 600,  # what the proxy does by itself is none of the requests that are looked at
        }
        with ProxyProcess(directory, store, policy=POLICY, settings=settings) as proxy:
            made = World(proxy, relay, bare)
            for bucket in ("view-mine", "view-theirs", "view-sealed"):
                made.owner.create_bucket(Bucket=bucket)
            made.owner.put_object(Bucket="view-theirs", Key="secret", Body=SECRET)
            made.owner.put_object(Bucket="view-sealed", Key="private/secret", Body=SECRET)
            for bucket in ("view-mine", "view-sealed"):
                made.owner.put_object(Bucket=bucket, Key="public/key", Body=b"<script>", ContentType="text/plain")
            until_settled(lambda: len(relay.exchanges))
            yield made


def came(exchange: Exchange) -> object:
    headers = {name: value for name, value in exchange.headers.items() if not name.startswith(OF_THE_PROXY)}
    target = re.sub("[0-9a-f]{32}", "random", exchange.target) if SYSTEM in exchange.target else exchange.target
    return exchange.method, target, sorted(headers.items())


def seen(world: World, asked: tuple[str, str, bytes], headers: dict[str, str], *, hoist: bool) -> object:
    """Return the answer's status, and the requests that came to the store."""
    world.relay.exchanges.clear()
    method, target, body = asked
    status, _ = world.send(method, target, headers=headers, body=body, who=OWNER, hoist=hoist)
    return status, [came(exchange) for exchange in world.relay.exchanges]


OPERATIONS = {
    "PutObject": ("PUT", "{bucket}/public/new", b"x"),
    "GetObject": ("GET", "{bucket}/public/key", b""),
    "HeadObject": ("HEAD", "{bucket}/public/key", b""),
    "DeleteObject": ("DELETE", "{bucket}/public/new", b""),
    "GetObjectAttributes": ("GET", "{bucket}/public/key?attributes=", b""),
    "PutObjectTagging": ("PUT", "{bucket}/public/key?tagging=", b"<Tagging><TagSet></TagSet></Tagging>"),
    "PutObjectRetention": ("PUT", "{bucket}/public/key?retention=", b"<Retention></Retention>"),
    "ListObjectsV2": ("GET", "{bucket}?list-type=2&prefix=public%2F", b""),
    "CreateBucket": ("PUT", "{bucket}", b""),
    "DeleteObjects": ("POST", "{bucket}?delete=", b"<Delete><Object><Key>none</Key></Object></Delete>"),
    "UploadPart": ("PUT", "{bucket}/public/parts?partNumber=1&uploadId={upload}", b"x"),
}
VALUES = {
    "x-amz-acl": "public-read",
    "x-amz-copy-source": "/view-mine/public/key",
    "x-amz-copy-source-if-match": "*",
    "x-amz-metadata-directive": "REPLACE",
    "x-amz-object-attributes": "ETag",
    "x-amz-object-lock-mode": "GOVERNANCE",
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("bucket", ["/view-mine", "/view-sealed"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_store_gets_the_same_request(world: World, operation: str, bucket: str) -> None:
    method, target, body = OPERATIONS[operation]
    upload = ""
    if "{upload}" in target:
        upload = world.owner.create_multipart_upload(Bucket=bucket[1:], Key="public/parts")["UploadId"]
    target = target.format(bucket=bucket, upload=upload)
    for name in HEADERS:
        headers = {name: VALUES.get(name, "true")}
        expected = seen(world, (method, target, body), headers, hoist=False)
        assert seen(world, (method, target, body), headers, hoist=True) == expected, name


@pytest.mark.timeout(300)
@pytest.mark.parametrize("bucket", ["view-mine", "view-sealed"])
def test_a_field_of_a_form_is_what_the_header_of_a_put_is(world: World, bucket: str) -> None:
    """Of the headers that both have: a form cannot have conditions, nor say how its object is encrypted."""
    for name in HEADERS:
        if name.startswith(
            ("x-amz-server-side-encryption", "x-amz-checksum-", "x-amz-sdk-", "x-amz-copy-source", "x-amz-trailer")
        ):
            continue
        value = VALUES.get(name, "true")
        world.relay.exchanges.clear()
        headers = {name: value, "content-type": "text/plain"}
        status, _ = world.send("PUT", f"/{bucket}/public/form", headers=headers, body=b"x", who=OWNER)
        put = [came(exchange) for exchange in world.relay.exchanges]
        world.relay.exchanges.clear()
        field = "acl" if name == "x-amz-acl" else name
        posted = world.post(bucket, "public/form", {field: value, "Content-Type": "text/plain"}, OWNER)
        assert [came(exchange) for exchange in world.relay.exchanges] == put, name
        assert (posted < 300) == (status < 300), name


COPIED = ("/view-theirs/secret", "view-theirs/secret", "%2Fview-theirs%2Fsecret", "/view-sealed/private/secret")


@pytest.mark.parametrize("hoist", [False, True])
@pytest.mark.parametrize("source", COPIED)
def test_a_copy_needs_the_right_to_read_however_it_is_asked_for(world: World, source: str, hoist: bool) -> None:  # noqa: FBT001
    upload = world.mallory.create_multipart_upload(Bucket="view-mine", Key="parts")["UploadId"]
    for target in ("/view-mine/loot", f"/view-mine/parts?partNumber=1&uploadId={upload}"):
        status, answer = world.send("PUT", target, headers={"x-amz-copy-source": source}, hoist=hoist)
        assert (status, b"AccessDenied" in answer) == (403, True)
    with pytest.raises(ClientError, match="404"):
        world.bare.head_object(Bucket="view-mine", Key="loot")
    assert not world.bare.list_parts(Bucket="view-mine", Key="parts", UploadId=upload).get("Parts")


@pytest.mark.parametrize("hoist", [False, True])
def test_the_proxys_own_bucket_is_not_copied_from(world: World, hoist: bool) -> None:  # noqa: FBT001
    names = [item["Key"] for item in world.bare.list_objects_v2(Bucket=SYSTEM)["Contents"]]
    for who in (OWNER, MALLORY):
        source = {"x-amz-copy-source": f"/{SYSTEM}/{names[0]}"}
        assert world.send("PUT", "/view-mine/loot", headers=source, who=who, hoist=hoist)[0] == 403


@pytest.mark.parametrize("hoist", [False, True])
@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-acl": "public-read"},
        {"x-amz-grant-read": "id=x"},
        {"x-amz-object-lock-legal-hold": "ON"},
        {"x-amz-object-lock-mode": "COMPLIANCE", "x-amz-object-lock-retain-until-date": "2099-01-01T00:00:00Z"},
    ],
)
def test_who_may_only_write_sets_neither_acls_nor_locks(world: World, headers: dict[str, str], hoist: bool) -> None:  # noqa: FBT001
    world.relay.exchanges.clear()
    assert world.send("PUT", "/view-mine/locked", headers=headers, body=b"x", hoist=hoist)[0] == 403
    assert world.send("POST", "/view-mine/locked?uploads=", headers=headers, hoist=hoist)[0] == 403
    copied = headers | {"x-amz-copy-source": "/view-mine/public/key"}
    assert world.send("PUT", "/view-mine/locked", headers=copied, hoist=hoist)[0] == 403
    fields = {("acl" if name == "x-amz-acl" else name): value for name, value in headers.items()}
    assert world.post("view-mine", "locked", fields, MALLORY) == 403
    assert not world.relay.exchanges
    assert world.post("view-mine", "not-locked", {"acl": "private"}, MALLORY) == 204


def test_names_of_headers_are_not_smuggled_in_by_forms_either(world: World) -> None:
    for name in ("x-amz-meta-a: b", "x-amz-acl ", "x-amz-meta-é"):
        assert world.post("view-mine", "smuggled", {name: "c"}, MALLORY) == 400
    for value in ("a\r\nx-amz-acl: public-read", "a\0b", "a\x7fb"):
        assert world.post("view-mine", "smuggled", {"x-amz-meta-a": value}, MALLORY) == 400
    assert world.post("view-mine", "smuggled", {"acl": "private", "x-amz-acl": "public-read"}, OWNER) == 400


def test_a_document_deletes_no_names_that_the_store_could_resolve(world: World) -> None:
    keys = [
        "x/../../view-theirs/secret",
        "../view-theirs/secret",
        "x\\..\\..\\view-theirs\\secret",
        "public/./key",
    ]
    answer = world.mallory.delete_objects(
        Bucket="view-mine", Delete={"Objects": [*({"Key": key} for key in keys), {"Key": "not-there"}]}
    )
    assert [(error["Key"], error["Code"]) for error in answer["Errors"]] == [(key, "InvalidArgument") for key in keys]
    assert [item["Key"] for item in answer["Deleted"]] == ["not-there"], "the others are served"
    versions = [{"Key": "public/key", "VersionId": "../secret"}]
    answer = world.mallory.delete_objects(Bucket="view-mine", Delete={"Objects": versions})
    assert [error["Code"] for error in answer["Errors"]] == ["InvalidArgument"]
    assert world.bare.get_object(Bucket="view-theirs", Key="secret")["Body"].read() == SECRET


@pytest.mark.parametrize("bucket", ["view-mine", "view-sealed"])
def test_a_link_does_not_make_a_script_of_text(world: World, bucket: str) -> None:
    link = f"/{bucket}/public/key?response-content-type=text%2Fhtml"
    status, answer = world.send("GET", link, who=None)
    assert (status, b"InvalidRequest" in answer) == (400, True)
    assert world.send("GET", f"/{bucket}/public/key", who=None)[0] == 200
    assert world.send("GET", link)[0] == 200, "who signs may"


def test_a_preflight_is_passed_on_without_what_it_does_not_need(world: World) -> None:
    world.relay.exchanges.clear()
    fetch = {
        "Origin": "https://a.example",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "x",
    }
    more = {"x-amz-acl": "public-read", "x-amz-copy-source": "/view-theirs/secret", "Cookie": "a=b"}
    with contextlib.closing(http.client.HTTPConnection(world.proxy.address, timeout=60)) as connection:
        connection.request("OPTIONS", "/view-mine/public/key?acl&x-amz-acl=public-read", b"body", fetch)
        connection.getresponse().read()
    (exchange,) = world.relay.exchanges
    assert (exchange.method, exchange.target, bytes(exchange.body)) == ("OPTIONS", "/view-mine/public/key", b"")
    sent = {name.lower(): value for name, value in fetch.items()}
    assert {name: value for name, value in exchange.headers.items() if not name.startswith(OF_THE_PROXY)} == sent
    assert world.send("OPTIONS", "/view-mine/public/key", headers=fetch | more, who=None)[0] == 400


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/minio/admin/v3/export-iam?tagging="),  # MinIO and RustFS look at the path alone
        ("GET", "/rustfs/admin/v3/export-iam?tagging="),
        ("GET", "/%6dinio/admin/v3/export-iam?tagging="),
        ("PUT", "/minio/admin/v3/import-iam?tagging="),
        ("DELETE", "/minio/admin/v3/tier/cold"),
        ("OPTIONS", "/minio/admin/v3/info"),
        ("GET", "/minio?location="),
    ],
)
def test_what_stores_have_for_administrators_is_no_bucket(world: World, method: str, target: str) -> None:
    """Not even for who may do everything in every bucket: the store would take the proxy's own key for theirs."""
    world.relay.exchanges.clear()
    status, answer = world.send(method, target, body=b"zip", who=OWNER)
    assert (status, b"InvalidBucketName" in answer) == (400, True)
    assert not [exchange for exchange in world.relay.exchanges if SYSTEM not in exchange.target]
