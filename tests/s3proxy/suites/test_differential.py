"""Random sequences of operations on a bare store and through the proxy: the answers are the same.

docs/s3proxy-differences.md has the exceptions, each of which is named where it is made. The numbers are small here;
STRONGROOM_TEST_DIFFERENTIAL raises the number of sequences, and draws other ones each time, for a run by hand.
"""

import os
import re
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from devstack.s3proxy import ProxyProcess
from devstack.seaweed import SeaweedServer
from tests.s3proxy.conftest import client_of
from tests.support.s3.multipart_operations import MultipartOperations
from tests.support.s3.operations import Operations, keys
from tests.support.s3.pair import Answer, Pair, Side, etag_view, object_view
from tests.support.s3.slash import KeepingSide, SlashOperations
from tests.support.tree import ROOT

pytestmark = pytest.mark.early

LONG = "STRONGROOM_TEST_DIFFERENTIAL" in os.environ
EXAMPLES = int(os.environ.get("STRONGROOM_TEST_DIFFERENTIAL", "30"))
STEPS = 40


class VersionedOperations(MultipartOperations):
    """The same in a bucket with versions."""

    @precondition(lambda self: self.pair.bare.versions)
    @rule(
        data=st.data(),
        key=keys,
        operation=st.sampled_from(("get_object", "head_object", "get_object_tagging", "delete_object")),
    )
    def one_version(self, data: st.DataObject, key: str, operation: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.pair.bare.versions)))

        def view(side: Side, answer: Answer) -> object:
            assert answer.get("VersionId") in {None, side.versions[number]}
            told = object_view(side, answer) if "ETag" in answer else answer.get("DeleteMarker")
            return told, answer.get("TagSet"), "VersionId" in answer

        wish = {"Key": self.key(key)}
        self.pair.call(operation, lambda side: wish | {"VersionId": side.versions[number]}, view)

    @rule(size=st.sampled_from((None, 1, 3)), below=st.sampled_from(("", "dir/")))
    def list_versions(self, size: int | None, below: str) -> None:
        wish: dict[str, object] = {"Prefix": self.key(below)} | ({} if size is None else {"MaxKeys": size})

        def view(side: Side, answer: Answer) -> object:
            numbers = {version: number for number, version in side.versions.items()}
            shown = [
                (
                    item["Key"],
                    item["Size"],
                    etag_view(side, item["ETag"]),
                    item["IsLatest"],
                    numbers.get(item["VersionId"]),
                )
                for item in answer.get("Versions", [])
            ]
            markers = [(item["Key"], item["IsLatest"]) for item in answer.get("DeleteMarkers", [])]
            return answer.get("IsTruncated"), answer.get("NextKeyMarker"), shown, markers

        self.pair.call("list_object_versions", lambda _: wish, view)


MD5 = """\
[[policy]]
name = "md5"
kek = "file"
buckets = ["*"]
etag = "md5"
"""


@pytest.fixture(scope="module")
def md5_s3(tmp_path_factory: pytest.TempPathFactory, store: SeaweedServer) -> Iterator[Any]:
    with ProxyProcess(tmp_path_factory.mktemp("md5"), store, policy=MD5) as running:
        yield client_of(running.url, running.access_key, running.secret_key)


def _pair(bare: Any, s3: Any, name: str, *, md5: bool) -> Pair:
    sides = [
        Side(client, f"{name}-{side}", sealed=side == "proxy", md5_etags=md5)
        for client, side in ((bare, "store"), (s3, "proxy"))
    ]
    pair = Pair(*sides)
    pair.call("create_bucket", lambda _: {})
    return pair


@pytest.mark.timeout(0 if LONG else 300)
def test_random_operations(bare: Any, s3: Any) -> None:
    class Machine(MultipartOperations):
        pair = _pair(bare, s3, "differential", md5=False)

    _run(Machine, EXAMPLES)


@pytest.mark.timeout(0 if LONG else 300)
def test_random_operations_with_etags_of_the_plaintext(bare: Any, md5_s3: Any) -> None:
    class Machine(MultipartOperations):
        pair = _pair(bare, md5_s3, "differential-md5", md5=True)

    _run(Machine, EXAMPLES)


@pytest.mark.timeout(0 if LONG else 300)
def test_random_operations_on_a_key_that_ends_in_a_slash(bare: Any, md5_s3: Any) -> None:
    names = ("differential-slash-store", "differential-slash-proxy")

    class Machine(SlashOperations):
        pair = Pair(KeepingSide(bare, names[0], sealed=False), Side(md5_s3, names[1], sealed=True))

    assert Machine.pair.call("create_bucket", lambda _: {})
    _run(Machine, EXAMPLES // 2)


@pytest.mark.timeout(0 if LONG else 300)
def test_random_operations_with_versions(bare: Any, md5_s3: Any) -> None:
    class Machine(VersionedOperations):
        pair = _pair(bare, md5_s3, "differential-versions", md5=True)

    enabled = {"VersioningConfiguration": {"Status": "Enabled"}}
    assert Machine.pair.call("put_bucket_versioning", lambda _: enabled)
    _run(Machine, EXAMPLES // 2)


def test_an_empty_part_before_others_is_too_small_and_to_the_store_no_part_at_all(bare: Any, s3: Any) -> None:
    for side, code in ((bare, "InvalidPart"), (s3, "EntityTooSmall")):
        wish = {"Bucket": f"empty-part-{code.lower()}", "Key": "a"}
        side.create_bucket(Bucket=wish["Bucket"])
        upload = wish | {"UploadId": side.create_multipart_upload(**wish)["UploadId"]}
        parts = [
            {"PartNumber": number, "ETag": side.upload_part(**upload, PartNumber=number, Body=body)["ETag"]}
            for number, body in ((1, b""), (2, b"x"))
        ]
        with pytest.raises(ClientError, match=code):
            side.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        assert side.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts[:1]})  # the last may be empty


def test_every_exemption_is_a_line_of_the_document() -> None:
    named = {
        name
        for source in (ROOT / "tests/support/s3").glob("*.py")
        for name in re.findall(r"(?:#|: |\"\"\") ?([A-Z]+(?:-[A-Z]+)+)\b", source.read_text())
    }
    lines = re.findall(r"^- \*\*([A-Z-]+)\*\*: ", (ROOT / "docs/s3proxy-differences.md").read_text(), re.MULTILINE)
    assert named
    assert named <= set(lines)


def _run(machine: type[Operations], examples: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=not LONG,
            database=None,
            report_multiple_bugs=False,
            phases=(Phase.generate, Phase.shrink) if LONG else (Phase.generate,),  # shrinking takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
