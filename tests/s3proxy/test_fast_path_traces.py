"""What is left to the general path, or handed over to it, is counted and kept as if the fast path had never seen it."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.request import urlopen

import pytest

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.process.waiting import wait_for
from tests.support.s3.relay import Fault, Harm
from tests.support.s3.tamper import flip
from tests.support.s3.twins import Twins, Wish

BUCKET = "traces"
USES = 7  # of a bucket key: it is replaced again and again, and both must do so at the same request
_COUNT = re.compile(r"^strongroom_s3proxy_(\w+(?:_total|_count)(?:\{[^}]*\})?) ([0-9.e+]+)$", re.MULTILINE)
# What the fast path is for; what each process does by itself now and then; what depends on how records fall together.
_OF_ITS_OWN = ("general_path_total", "store_seconds_count", "access_log")


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer, bare: Any) -> Iterator[Twins]:
    settings = {"bucket_key_uses": USES}
    with Twins(tmp_path_factory.mktemp("traces"), store, settings=settings) as running:
        client = client_of(running.general.url, running.general.access_key, running.general.secret_key)
        client.create_bucket(Bucket=BUCKET)
        for key, size in (("small", 40), ("damaged", 40), ("long", 200_000)):
            client.put_object(Bucket=BUCKET, Key=key, Body=os.urandom(size))
        client.close()
        got = bare.get_object(Bucket=BUCKET, Key="damaged")
        bare.put_object(Bucket=BUCKET, Key="damaged", Body=flip(got["Body"].read(), 260, 1), Metadata=got["Metadata"])
        for wish in (wish_of("GET", "small"), wish_of("PUT", "begin", size=1)):
            assert all(told.answer.ok for told in running.send(wish))  # each has the key that it reads and seals under
        yield running


def wish_of(method: str, key: str, **more: Any) -> Wish:
    return Wish(method=method, path=f"/{BUCKET}/{key}", **more)


def counts(proxy: ProxyProcess) -> Counter[str]:
    """Return all that a proxy has counted, of which the other one has to count the same."""
    with urlopen(f"http://{proxy.health_address}/metrics") as answer:
        found = _COUNT.findall(answer.read().decode())
    return Counter({name: int(float(number)) for name, number in found if not name.startswith(_OF_ITS_OWN)})


WISHES = {
    "good": (wish_of("GET", "small"), ""),
    "good head": (wish_of("HEAD", "small"), ""),
    "good put": (wish_of("PUT", "put", size=40), ""),
    "none": (wish_of("GET", "none"), "answer"),
    "changed": (wish_of("GET", "small", headers={"if-match": '"another"'}), "answer"),
    "unchanged": (wish_of("HEAD", "small", headers={"if-none-match": "*"}), "answer"),
    "no range": (wish_of("GET", "small", headers={"range": "bytes=40-"}), "answer"),
    "long": (wish_of("GET", "long"), "answer"),
    "long range": (wish_of("GET", "long", headers={"range": "bytes=0-65536"}), "size"),
    "damaged": (wish_of("GET", "damaged"), "damaged"),
    "wrong": (wish_of("GET", "small", sign="wrong"), "refused"),
    "harmed": (wish_of("PUT", "put", size=40, payload="hashed", harm=7), "body"),
    "long put": (wish_of("PUT", "put", size=70_000), "size"),
    "conditional put": (wish_of("PUT", "put", size=4, headers={"if-none-match": '"0"'}), "condition"),
}


def difference(twins: Twins) -> tuple[Counter[str], Counter[str]]:
    """Return what each of them has counted more often than the other."""
    fast, general = counts(twins.fast), counts(twins.general)
    return fast - general, general - fast


def require_alike(twins: Twins, before: tuple[Counter[str], Counter[str]]) -> None:
    """Wait until both have counted the same: a request is counted once its answer is out."""
    wait_for(lambda: difference(twins) == before, "both count the same")


@pytest.mark.parametrize("name", WISHES)
def test_both_count_the_same(twins: Twins, name: str) -> None:
    wish, reason = WISHES[name]
    before, left = difference(twins), twins.left()
    for _ in range(2 * USES):  # behind a key that is spent the next one is made
        fast, general = twins.send(wish)
        assert fast.answer.status == general.answer.status
    if reason:
        assert (twins.left() - left)[reason], "it is handed over, and for this reason"
    require_alike(twins, before)


def test_a_put_that_the_store_refuses_has_used_a_key_once(twins: Twins) -> None:
    before = difference(twins)
    twins.relay.plan = lambda exchange: Fault(Harm.REFUSE) if exchange.target.endswith("/refused") else None
    try:
        for _ in range(2 * USES):
            assert [told.answer.status for told in twins.send(wish_of("PUT", "refused", size=9))] == [500, 500]
    finally:
        twins.relay.plan = lambda _: None
    require_alike(twins, before)
