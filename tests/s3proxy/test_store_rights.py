"""What the proxy's credentials need at a store: each right that SeaweedFS can take away, and what fails without it.

docs/reference/files.md says so; ``s3proxy.store.needs`` is the table.
"""

import contextlib
import http.client
import json
from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.process.waiting import wait_for

MAKER = "of:none"  # the name of one that may make a bucket
ORDERS, SYSTEM = "orders", "strongroom-system"
NEEDED = [f"{action}:{ORDERS}" for action in ("Read", "Write", "List", "Tagging")]
NEEDED += [f"{action}:{SYSTEM}" for action in ("Read", "Write", "List")]
REFUSED = {
    f"Read:{ORDERS}": {"get", "get tags", "multipart", "copy", "head bucket"},
    f"Write:{ORDERS}": {"put", "multipart", "copy", "delete"},
    f"List:{ORDERS}": {"list"},
    f"Tagging:{ORDERS}": {"tag"},
}
"""What a client can no longer do when the proxy lacks a right on the client's bucket."""


def named(right: str) -> str:
    return "without-" + right.replace(":", "-").lower() if right else "complete"


def identity(lacking: str, *more: str) -> dict[str, object]:
    name = named(lacking)
    key = {"accessKey": f"{name}-key", "secretKey": f"{name}-secret-0123456789"}
    return {"name": name, "credentials": [key], "actions": [*(right for right in NEEDED if right != lacking), *more]}


@pytest.fixture(scope="module")
def rights_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedServer]:
    identities = [identity(lacking) for lacking in ("", *NEEDED)]
    identities.append(identity(MAKER, *(f"{action}:own-system" for action in ("Read", "Write", "List", "Admin"))))
    with SeaweedServer(tmp_path_factory.mktemp("rights") / "store", identities=identities) as store:
        with contextlib.closing(client_of(store.address, store.access_key, store.secret_key)) as owner:
            owner.create_bucket(Bucket=ORDERS)
            owner.create_bucket(Bucket=SYSTEM)
            owner.put_object(Bucket=ORDERS, Key="there", Body=b"plain")
        yield store


@pytest.fixture
def proxy(rights_store: SeaweedServer, tmp_path: Any, request: pytest.FixtureRequest) -> Iterator[ProxyProcess]:
    lacking, settings = request.param
    name = named(lacking)
    store = SimpleNamespace(
        access_key=f"{name}-key", secret_key=f"{name}-secret-0123456789", address=rights_store.address
    )
    # A policy of its own for each: they share a keyring, and each has a key file of its own.
    policy = f'[[policy]]\nname = "{name}"\nkek = "file"\nbuckets = ["*"]\nmode = "migrate"\n'
    with ProxyProcess(tmp_path, store, policy=policy, settings={"reload_interval_s": 0.05, **settings}) as running:
        yield running


def ready(proxy: ProxyProcess) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(proxy.health_address, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def refused(proxy: ProxyProcess) -> set[str]:
    """Try what clients do, and return what is refused."""
    with contextlib.closing(client_of(proxy.url, proxy.access_key, proxy.secret_key)) as s3:

        def upload() -> None:
            upload_id = s3.create_multipart_upload(Bucket=ORDERS, Key="parts")["UploadId"]
            at = {"Bucket": ORDERS, "Key": "parts", "UploadId": upload_id}
            etag = s3.upload_part(**at, PartNumber=1, Body=b"part")["ETag"]
            s3.complete_multipart_upload(**at, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})

        tags = {"TagSet": [{"Key": "a", "Value": "b"}]}
        tried: dict[str, Callable[[], object]] = {
            "put": partial(s3.put_object, Bucket=ORDERS, Key="new", Body=b"x"),
            "get": partial(s3.get_object, Bucket=ORDERS, Key="there"),
            "list": partial(s3.list_objects_v2, Bucket=ORDERS),
            "tag": partial(s3.put_object_tagging, Bucket=ORDERS, Key="there", Tagging=tags),
            "get tags": partial(s3.get_object_tagging, Bucket=ORDERS, Key="there"),
            "multipart": upload,
            "copy": partial(s3.copy_object, Bucket=ORDERS, Key="copy", CopySource=f"{ORDERS}/there"),
            "head bucket": partial(s3.head_bucket, Bucket=ORDERS),
            "delete": partial(s3.delete_object, Bucket=ORDERS, Key="gone"),
            "buckets": s3.list_buckets,
        }
        found = set()
        for name, call in tried.items():
            try:
                call()
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
                    raise
                found.add(name)
        return found


def is_ready(proxy: ProxyProcess) -> bool:
    return ready(proxy)[0] == 200


@pytest.mark.parametrize("proxy", [("", {})], indirect=True)
def test_the_rights_of_the_table_are_enough(proxy: ProxyProcess) -> None:
    wait_for(lambda: is_ready(proxy), "the proxy to be ready")
    assert "not known" not in ready(proxy)[1]["capabilities"]["detail"]
    assert refused(proxy) == set()


@pytest.mark.parametrize(("proxy", "lacking"), [((right, {}), right) for right in REFUSED], indirect=["proxy"])
def test_without_a_right_on_a_bucket_that_and_nothing_else_is_refused(proxy: ProxyProcess, lacking: str) -> None:
    wait_for(lambda: is_ready(proxy), "the proxy to be ready")
    assert refused(proxy) == REFUSED[lacking]


@pytest.mark.parametrize(
    ("proxy", "name"),
    [((f"{action}:{SYSTEM}", {}), named(f"{action}:{SYSTEM}")) for action in ("Read", "Write", "List")],
    indirect=["proxy"],
)
def test_without_a_right_on_the_system_bucket_the_proxy_is_not_ready_and_says_what_the_store_refuses(
    proxy: ProxyProcess, name: str
) -> None:
    def told() -> bool:
        return "the store answers 403 AccessDenied" in ready(proxy)[1].get(f"policy {name}", {}).get("detail", "")

    wait_for(told, "readyz to say what the store refuses")
    status, parts = ready(proxy)
    assert status == 503
    assert SYSTEM in parts[f"policy {name}"]["detail"]


@pytest.mark.parametrize("proxy", [("", {"system_bucket": "not-made"})], indirect=True)
def test_a_system_bucket_that_may_not_be_made_is_named(proxy: ProxyProcess) -> None:
    wait_for(lambda: "not-made" in ready(proxy)[1]["policy complete"]["detail"], "readyz to name the bucket")
    assert ready(proxy)[0] == 503


@pytest.mark.parametrize("proxy", [(MAKER, {"system_bucket": "own-system"})], indirect=True)
def test_a_proxy_that_may_makes_its_system_bucket_itself(proxy: ProxyProcess) -> None:
    wait_for(lambda: is_ready(proxy), "the proxy to be ready")
    assert refused(proxy) == set()
