"""Lines behind a body in chunks (trailers of HTTP): the request is served, on either path, and its connection ends."""

from collections.abc import Iterator

import pytest

from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.s3.twins import Twins, Wish, pieces_of

BUCKET = "lines-behind"
PUT = Wish(method="PUT", path=f"/{BUCKET}/put", size=40, payload="trailer", chunk=1 << 20)
GET = Wish(method="GET", path=f"/{BUCKET}/put")
END = b"0\r\n\r\n"


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer) -> Iterator[Twins]:
    with Twins(tmp_path_factory.mktemp("lines"), store) as running:
        client = client_of(running.fast.url, running.fast.access_key, running.fast.secret_key)
        client.create_bucket(Bucket=BUCKET)
        client.close()
        for proxy in (running.fast, running.general):  # each has a bucket key of its own for what it seals
            assert running.send_to(proxy, PUT).answer.ok
        yield running


@pytest.mark.parametrize("way", [0, 1], ids=["fast", "general"])
def test_a_put_with_lines_behind_its_body_is_taken_and_ends_its_connection(twins: Twins, way: int) -> None:
    client, proxy = twins.clients[way], (twins.fast, twins.general)[way]
    assert twins.send_to(proxy, GET).answer.ok
    [raw] = pieces_of(PUT, proxy)
    connection, before = client.connect(), twins.left()
    answer = client.exchange("PUT", [raw.removesuffix(END) + b"0\r\nx-evil: 1\r\n\r\n"])
    assert answer.ok
    assert not twins.left() - before, "the fast path leaves it to nobody"
    assert connection.recv(1) == b""
    client.close()
    assert twins.send_to(proxy, GET).answer.body == PUT.body
