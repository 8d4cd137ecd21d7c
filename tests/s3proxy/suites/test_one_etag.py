"""One object, one ETag: random sequences of operations, after which everything that shows or takes an ETag agrees.

Then the ETags that stores do not send, or send in another form. STRONGROOM_TEST_DIFFERENTIAL raises the number of
sequences, and draws other ones each time, for a run by hand.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.s3.etag_operations import EtagOperations
from tests.support.s3.raw import RawClient

LONG = "STRONGROOM_TEST_DIFFERENTIAL" in os.environ
EXAMPLES = int(os.environ.get("STRONGROOM_TEST_DIFFERENTIAL", "5"))
STEPS = 25
POLICY = """\
[[policy]]
name = "opaque"
kek = "file"
buckets = ["etag-opaque*"]

[[policy]]
name = "md5"
kek = "file"
buckets = ["etag-md5*"]
etag = "md5"
"""


@pytest.fixture(scope="module")
def etag_proxy(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer) -> Iterator[ProxyProcess]:
    with ProxyProcess(tmp_path_factory.mktemp("etag"), store, policy=POLICY) as running:
        yield running


@pytest.mark.timeout(0 if LONG else 300)
@pytest.mark.parametrize("versions", [False, True], ids=["unversioned", "versioned"])
@pytest.mark.parametrize("mode", ["opaque", "md5"])
def test_every_channel_shows_one_etag_and_every_condition_takes_it(
    etag_proxy: ProxyProcess,
    bare: Any,
    mode: str,
    versions: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    client = client_of(etag_proxy.url, etag_proxy.access_key, etag_proxy.secret_key)
    name = f"etag-{mode}-{'versions' if versions else 'plain'}"
    client.create_bucket(Bucket=name)
    if versions:
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    class Machine(EtagOperations):
        s3 = client
        raw = RawClient(etag_proxy)
        bucket = name
        versioned = versions
        md5 = mode == "md5"

    Machine.bare = bare
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=not LONG,
            database=None,
            report_multiple_bugs=False,
            phases=(Phase.generate, Phase.shrink) if LONG else (Phase.generate,),  # shrinking takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
