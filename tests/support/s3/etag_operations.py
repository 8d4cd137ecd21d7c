"""Operations through the proxy for hypothesis to make sequences of, and all that shows or takes an ETag afterwards.

Whatever made an object, its ETag is what the answer to that said: in every other answer, and in every condition, where
no other value stands for it.
"""

import hashlib
import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from tests.support.s3.operations import CHUNK, body_of
from tests.support.s3.raw import RawClient

S3 = Any  # botocore makes its clients at run time
LEAST = 5 << 20
KEYS = ("a", "b c", "dir/ü+")
SIZES = (0, 1, CHUNK, 3 * CHUNK, (1 << 20) + 1)
FOREIGN = '"' + "0" * 32 + '"'
_MD5 = re.compile(r'"[0-9a-f]{32}"')
numbers = itertools.count()
keys = st.sampled_from(KEYS)


def bare_of(etag: str) -> str:
    return etag.strip('"')


class EtagOperations(RuleBasedStateMachine):
    """What makes objects, and what shows and takes ETags. The attributes are set by the subclass that a test runs."""

    s3: S3
    bare: S3
    raw: RawClient
    bucket: str
    versioned: bool
    md5: bool

    def __init__(self) -> None:
        super().__init__()
        self.prefix = f"run{next(numbers)}/"
        self.etags: dict[tuple[str, str], str] = {}  # by key and version
        self.current: dict[str, str] = {}  # the version that stands under a key

    def name(self, key: str, version: str = "") -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + key} | ({"VersionId": version} if version else {})

    def refused(self, call: Callable[..., Any], **parameters: object) -> tuple[int, str]:
        try:
            call(**parameters)
        except ClientError as error:
            status: int = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return status, error.response["ResponseMetadata"]["HTTPHeaders"].get("etag", "")
        return 200, ""

    def wrote(self, key: str, etag: str, answer: Mapping[str, Any], body: bytes | None) -> None:
        version = answer.get("VersionId", "") if self.versioned else ""
        assert bool(version) == self.versioned
        self.etags[key, version] = etag
        self.current[key] = version
        if body is not None and self.md5:
            assert etag == f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        else:
            assert not _MD5.fullmatch(etag), "it looks like an MD5 that it is not"

    def others(self, key: str, version: str, etag: str) -> list[str]:
        """Return ETags that are none of this object's: of others, of the store, and as other settings would have it."""
        stored = bare_of(self.bare.head_object(**self.name(key, version))["ETag"])
        made = [FOREIGN, f'"{stored}"', f'"{stored}-1"', f'"{bare_of(etag).partition("-")[0]}"', f'"{bare_of(etag)}-1"']
        return sorted({*made, *self.etags.values()} - {etag})

    # What makes objects

    @rule(key=keys, size=st.sampled_from(SIZES), seed=st.integers(0, 99), condition=st.sampled_from(("", "If-Match")))
    def put(self, key: str, size: int, seed: int, condition: str) -> None:
        known = self.etags.get((key, self.current.get(key, "none")))
        more = {"IfMatch": known} if condition and known else {}
        body = body_of(size, seed)
        answer = self.s3.put_object(**self.name(key), Body=body, **more)
        self.wrote(key, answer["ETag"], answer, body)

    @precondition(lambda self: self.current)
    @rule(data=st.data(), goal=keys, how=st.sampled_from(({}, {"ChecksumAlgorithm": "SHA1"})))
    def copy(self, data: st.DataObject, goal: str, how: dict[str, str]) -> None:
        source = data.draw(st.sampled_from(sorted(self.current)))
        known = self.etags[source, self.current[source]]
        place = {"CopySource": self.name(source, self.current[source]), "CopySourceIfMatch": known}
        replaced = {"MetadataDirective": "REPLACE", "ContentType": "text/plain"}
        answer = self.s3.copy_object(**self.name(goal), **place, **replaced, **how)
        etag = answer["CopyObjectResult"]["ETag"]
        is_multipart = "-" in known and self.md5 and not how
        self.wrote(goal, etag, answer, None if is_multipart else self.s3.get_object(**self.name(goal))["Body"].read())

    @rule(key=keys, seed=st.integers(0, 99), large=st.booleans(), copied=st.booleans())
    def upload(self, key: str, seed: int, *, large: bool, copied: bool) -> None:
        name = self.name(key)
        upload = {**name, "UploadId": self.s3.create_multipart_upload(**name)["UploadId"]}
        shown: dict[int, str] = {}
        bodies = {1: body_of(LEAST, seed), 3: body_of(100, seed)} if large else {2: body_of(CHUNK, seed)}
        for number, body in bodies.items():
            shown[number] = self.s3.upload_part(**upload, PartNumber=number, Body=body)["ETag"]
        if copied and key in self.current:
            source = {"CopySource": self.name(key), "CopySourceIfMatch": self.etags[key, self.current[key]]}
            number = max(shown)
            answer = self.s3.upload_part_copy(**upload, **source, PartNumber=number)
            shown[number] = answer["CopyPartResult"]["ETag"]
        listed = {part["PartNumber"]: part["ETag"] for part in self.s3.list_parts(**upload)["Parts"]}
        assert listed.keys() == shown.keys()
        assert not any(_MD5.fullmatch(etag) for etag in shown.values()), "it looks like an MD5 that it is not"
        if not copied:  # PARTS-REPLACED
            assert listed == shown
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(shown.items())]
        wrong = [{**part, "ETag": FOREIGN} for part in parts]
        assert self.refused(self.s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": wrong})[0] == 400
        condition = {"IfMatch": self.etags[key, self.current[key]]} if key in self.current else {"IfNoneMatch": "*"}
        answer = self.s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **condition)
        self.wrote(key, answer["ETag"], answer, None)

    # What takes them away

    @precondition(lambda self: self.current)
    @rule(data=st.data(), several=st.booleans())
    def delete(self, data: st.DataObject, *, several: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.current)))
        version = self.current.pop(key)
        name, etag = self.name(key), self.etags[key, version]
        assert self.refused(self.s3.delete_object, **name, IfMatch=FOREIGN)[0] == 412
        if several:
            wish = {"Objects": [{"Key": name["Key"], "ETag": etag}]}
            assert "Errors" not in self.s3.delete_objects(Bucket=self.bucket, Delete=wish)
        else:
            self.s3.delete_object(**name, IfMatch=etag)
        if not self.versioned:
            del self.etags[key, version]

    # What shows and takes their ETags

    @precondition(lambda self: self.etags)
    @rule(data=st.data())
    def shown_everywhere(self, data: st.DataObject) -> None:
        key, version = data.draw(st.sampled_from(sorted(self.etags)))
        if not self.versioned and self.current.get(key) != version:
            return
        name, etag = self.name(key, version), self.etags[key, version]
        shown = {
            "HEAD": self.s3.head_object(**name)["ETag"],
            "GET": self.s3.get_object(**name)["ETag"],
            "attributes": f'"{self.s3.get_object_attributes(**name, ObjectAttributes=["ETag"])["ETag"]}"',
        }
        if self.s3.head_object(**name)["ContentLength"]:
            shown["range"] = self.s3.get_object(**name, Range="bytes=0-0")["ETag"]
        if self.current.get(key) == version:
            for operation in ("list_objects", "list_objects_v2"):
                listed = getattr(self.s3, operation)(Bucket=self.bucket, Prefix=name["Key"])["Contents"]
                shown[operation] = next(item["ETag"] for item in listed if item["Key"] == name["Key"])
        if self.versioned:
            listed = self.s3.list_object_versions(Bucket=self.bucket, Prefix=name["Key"])["Versions"]
            shown["versions"] = next(item["ETag"] for item in listed if item["VersionId"] == version)
        assert set(shown.values()) == {etag}, shown

    @precondition(lambda self: self.etags)
    @rule(data=st.data(), quoted=st.booleans())
    def taken_everywhere(self, data: st.DataObject, *, quoted: bool) -> None:
        key, version = data.draw(st.sampled_from(sorted(self.etags)))
        if not self.versioned and self.current.get(key) != version:
            return
        name, known = self.name(key, version), self.etags[key, version]
        etag = known if quoted else bare_of(known)
        goal = self.name("goal")
        for read in (self.s3.get_object, self.s3.head_object):
            assert self.refused(read, **name, IfMatch=etag) == (200, "")
            assert self.refused(read, **name, IfNoneMatch=etag) == (304, known)
        copied = {**goal, "CopySource": name, "MetadataDirective": "REPLACE"}
        assert self.refused(self.s3.copy_object, **copied, CopySourceIfMatch=etag) == (200, "")
        assert self.refused(self.s3.copy_object, **copied, CopySourceIfNoneMatch=etag)[0] == 412
        size = self.s3.head_object(**name)["ContentLength"]
        assert self.range_status(name, etag) == (206 if size else 416)

    @precondition(lambda self: self.etags)
    @rule(data=st.data())
    def others_taken_nowhere(self, data: st.DataObject) -> None:
        key, version = data.draw(st.sampled_from(sorted(self.etags)))
        if not self.versioned and self.current.get(key) != version:
            return
        name = self.name(key, version)
        other = data.draw(st.sampled_from(self.others(key, version, self.etags[key, version])))
        goal = self.name("goal")
        for read in (self.s3.get_object, self.s3.head_object):
            assert self.refused(read, **name, IfMatch=other)[0] == 412, other
            assert self.refused(read, **name, IfNoneMatch=other)[0] == 200, other
        assert self.refused(self.s3.copy_object, **goal, CopySource=name, CopySourceIfMatch=other)[0] == 412, other
        assert self.refused(self.s3.copy_object, **goal, CopySource=name, CopySourceIfNoneMatch=other)[0] == 200, other
        assert self.range_status(name, other) == 200, other
        if self.current.get(key) == version:
            name = self.name(key)
            assert self.refused(self.s3.put_object, **name, Body=b"", IfMatch=other)[0] == 412, other
            assert self.refused(self.s3.delete_object, **name, IfMatch=other)[0] == 412, other
            wish = {"Objects": [{"Key": name["Key"], "ETag": other}]}
            (error,) = self.s3.delete_objects(Bucket=self.bucket, Delete=wish)["Errors"]
            assert error["Code"] == "PreconditionFailed", other

    def range_status(self, name: Mapping[str, str], etag: str) -> int:
        """Return the status of a range under If-Range, which boto3 has no parameter for."""
        version = (("versionId", name["VersionId"]),) if "VersionId" in name else ()
        headers = {"range": "bytes=0-0", "if-range": etag}
        return self.raw.send("GET", name["Bucket"], name["Key"], query=version, headers=headers).status
