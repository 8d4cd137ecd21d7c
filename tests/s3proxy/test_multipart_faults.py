"""The store fails in the middle of an upload: the client comes again, and it all ends well."""

import contextlib
import os
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.s3.multipart import LEAST, begin, code_of, kept_copies
from tests.support.s3.relay import QUIET, Exchange, Fault, Harm, StoreRelay

HARMS = (Harm.REFUSE, Harm.RESET_REQUEST, Harm.RESET_ANSWER)


@pytest.fixture(scope="module")
def relay(store: SeaweedServer) -> Iterator[StoreRelay]:
    with StoreRelay(store.address) as running:
        yield running


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, relay: StoreRelay) -> Iterator[Any]:
    """A client of a proxy whose way to the store leads over the relay."""
    directory = tmp_path_factory.mktemp("faults")
    with ProxyProcess(directory, store, settings={"store_address": relay.address} | QUIET) as proxy:
        running = client_of(proxy.url, proxy.access_key, proxy.secret_key)
        running.create_bucket(Bucket="multipart-faults")
        running.put_object(Bucket="multipart-faults", Key="first", Body=b"makes the bucket key")
        relay.settle()
        yield running
        running.close()


@pytest.fixture(autouse=True)
def _no_fault_remains(relay: StoreRelay) -> Iterator[None]:
    yield
    relay.plan = lambda _: None


class OneFault:
    """Harms one request, by its place in the order of requests."""

    def __init__(self, harm: Harm, place: int) -> None:
        self._fault, self._left = Fault(harm), place
        self.happened = False

    def __call__(self, _: Exchange) -> Fault | None:
        self._left -= 1
        if self._left != -1:
            return None
        self.happened = True
        return self._fault


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("size", [1000, LEAST])
def test_completing_again_after_each_request_that_fails(
    client: Any, bare: Any, relay: StoreRelay, harm: Harm, size: int
) -> None:
    """The last place is one where no request came any longer, so every request has been harmed."""
    before = kept_copies(bare)
    for place in count():
        key, body = f"{harm.name}/{size}/{place}", os.urandom(size)
        uploading = begin(client, "multipart-faults", key)
        etags = {1: uploading.put(1, body)}
        relay.plan = fault = OneFault(harm, place)
        with contextlib.suppress(ClientError):
            uploading.complete(etags)
        relay.plan = lambda _: None
        done = uploading.complete(etags)
        got = client.get_object(Bucket="multipart-faults", Key=key)
        assert (got["ETag"], got["Body"].read()) == (done["ETag"], body)
        if not fault.happened:
            break
    assert place >= 4  # parts, copies, part with the manifest, completion
    assert bare.list_multipart_uploads(Bucket="multipart-faults").get("Uploads", []) == []
    assert kept_copies(bare) == before


@pytest.mark.parametrize("harm", HARMS)
def test_small_part_counts_only_with_its_copy(client: Any, bare: Any, relay: StoreRelay, harm: Harm) -> None:
    before = kept_copies(bare)
    uploading = begin(client, "multipart-faults", "copy")
    relay.plan = lambda exchange: Fault(harm) if exchange.target.startswith("/strongroom-system/uploads/") else None
    with pytest.raises(ClientError) as caught:
        uploading.put(1, b"small")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in {500, 503}
    relay.plan = lambda _: None
    if harm is not Harm.RESET_ANSWER:
        assert uploading.listed() == {}
    etag = uploading.put(1, b"small")
    uploading.complete({1: etag})
    assert client.get_object(Bucket="multipart-faults", Key="copy")["Body"].read() == b"small"
    assert kept_copies(bare) == before


def test_abort_after_an_abort_that_failed(client: Any, bare: Any, relay: StoreRelay) -> None:
    before = kept_copies(bare)
    uploading = begin(client, "multipart-faults", "abort")
    uploading.put(1, b"small")
    relay.plan = OneFault(Harm.REFUSE, 0)
    with pytest.raises(ClientError) as caught:
        uploading.abort()
    assert code_of(caught.value) == "InternalError"
    relay.plan = lambda _: None
    uploading.abort()
    assert kept_copies(bare) == before
