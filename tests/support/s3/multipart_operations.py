"""Multipart uploads at a bare store and through the proxy, for hypothesis to make sequences of."""

from collections.abc import Mapping
from itertools import permutations

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.support.s3.operations import CHUNK, LEAST, NO_INSTEAD, TYPE, Operations, body_of, headers, keys, numbers
from tests.support.s3.pair import Answer, Instead, Side, etag_view, object_view

# COMPLETE-EMPTY
COMPLETE_EMPTY: Instead = frozenset(((404, "NoSuchUpload"), (400, code)) for code in ("MalformedXML", "InvalidPart"))
# COMPLETE-ORDER
WRONG_PARTS = ("InvalidPart", "InvalidPartOrder", "EntityTooSmall")
COMPLETE_ORDER: Instead = frozenset(((400, one), (400, other)) for one, other in permutations(WRONG_PARTS, 2))
# COMPLETE-EMPTY-PART
COMPLETE_EMPTY_PART: Instead = frozenset({((400, "InvalidPart"), (400, "EntityTooSmall"))})
PART_SIZES = (0, 1, CHUNK, LEAST - 1, LEAST, LEAST + 1)


class MultipartOperations(Operations):
    """Uploads among the other operations.

    Attributes:
        uploads: keys of those that are open, by a number that both sides share.
        parts: numbers of their parts.
        empty: of these, those without content, by upload and part number.
        replaced: uploads with a part that was uploaded twice.
    """

    def __init__(self) -> None:
        super().__init__()
        self.uploads: dict[int, str] = {}
        self.parts: dict[int, set[int]] = {}
        self.empty: set[tuple[int, int]] = set()
        self.replaced: set[int] = set()

    @rule(key=keys, more=headers)
    def create_upload(self, key: str, more: dict[str, object]) -> None:
        if len(self.uploads) >= 3:
            return
        number = next(numbers)

        def view(side: Side, answer: Answer) -> None:
            side.uploads[number] = answer["UploadId"]

        if self.pair.call("create_multipart_upload", lambda _: {**TYPE, "Key": self.key(key), **more}, view):
            self.uploads[number], self.parts[number] = self.key(key), set()

    @precondition(lambda self: self.uploads)
    @rule(data=st.data(), part=st.integers(1, 3), size=st.sampled_from(PART_SIZES), seed=st.integers(0, 99))
    def upload_part(self, data: st.DataObject, part: int, size: int, seed: int) -> None:
        number = data.draw(st.sampled_from(sorted(self.uploads)))

        def view(side: Side, answer: Answer) -> None:
            side.parts[number, part] = answer["ETag"]  # ETAG-PART: it is of what is stored

        wish = {"Key": self.uploads[number], "PartNumber": part, "Body": body_of(size, seed)}
        if self.pair.call("upload_part", lambda side: wish | {"UploadId": side.uploads[number]}, view):
            self._took(number, part, size)

    def _took(self, number: int, part: int, size: int) -> None:
        if part in self.parts[number]:
            self.replaced.add(number)
        self.parts[number].add(part)
        (self.empty.discard if size else self.empty.add)((number, part))

    @precondition(lambda self: self.uploads)
    @rule(data=st.data(), source=keys, part=st.integers(1, 3), asked=st.sampled_from((None, (0, 0), (10, 99))))
    def copy_part(self, data: st.DataObject, source: str, part: int, asked: tuple[int, int] | None) -> None:
        number = data.draw(st.sampled_from(sorted(self.uploads)))
        wish: dict[str, object] = {"Key": self.uploads[number], "PartNumber": part}
        wish |= {} if asked is None else {"CopySourceRange": f"bytes={asked[0]}-{asked[1]}"}

        def parameters(side: Side) -> Mapping[str, object]:
            place = {"Bucket": side.bucket, "Key": self.key(source)}
            return wish | {"UploadId": side.uploads[number], "CopySource": place}

        def view(side: Side, answer: Answer) -> None:
            side.parts[number, part] = answer["CopyPartResult"]["ETag"]

        if self.pair.call("upload_part_copy", parameters, view):
            copied = self.pair.proxy.call("head_object", Key=self.key(source))[2]
            self._took(number, part, copied["ContentLength"])  # a range of nothing is refused

    @precondition(lambda self: self.uploads)
    @rule(data=st.data(), size=st.sampled_from((None, 1, 2)))
    def list_parts(self, data: st.DataObject, size: int | None) -> None:
        number = data.draw(st.sampled_from(sorted(self.uploads)))
        paged = size is not None and number not in self.replaced  # PARTS-REPLACED
        wish: dict[str, object] = {"Key": self.uploads[number]} | ({"MaxParts": size} if paged else {})

        def view(side: Side, answer: Answer) -> object:
            listed = answer.get("Parts", [])
            current = [part for part in listed if part["ETag"] == side.parts[number, part["PartNumber"]]]
            assert current == listed or number in self.replaced  # PARTS-REPLACED
            told = {key: answer.get(key) for key in ("IsTruncated", "MaxParts", "NextPartNumberMarker")}
            return told, sorted({(part["PartNumber"], part["Size"]) for part in current})

        self.pair.call("list_parts", lambda side: wish | {"UploadId": side.uploads[number]}, view)

    @rule()
    def list_uploads(self) -> None:
        def view(side: Side, answer: Answer) -> object:
            numbers = {upload_id: number for number, upload_id in side.uploads.items()}
            return sorted((item["Key"], numbers[item["UploadId"]]) for item in answer.get("Uploads", []))

        self.pair.call("list_multipart_uploads", lambda _: {"Prefix": self.prefix}, view)

    @precondition(lambda self: self.uploads)
    @rule(data=st.data(), how=st.sampled_from(("all", "all", "all", "some", "reversed", "wrong etag", "unknown")))
    def complete(self, data: st.DataObject, how: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.uploads)))
        chosen = sorted(self.parts[number])
        chosen = chosen[:-1] if how == "some" else chosen[::-1] if how == "reversed" else chosen
        chosen += [9] if how == "unknown" else []
        name = self.uploads[number]

        def parameters(side: Side) -> Mapping[str, object]:
            parts = [
                {
                    "PartNumber": part,
                    "ETag": '"wrong"' if how == "wrong etag" else side.parts.get((number, part), '"x"'),
                }
                for part in chosen
            ]
            return {"Key": name, "UploadId": side.uploads[number], "MultipartUpload": {"Parts": parts}}

        def view(side: Side, answer: Answer) -> object:
            side.etags[name] = answer["ETag"]
            return answer["Key"], etag_view(side, answer["ETag"])

        instead = NO_INSTEAD if self.parts[number] else COMPLETE_EMPTY
        if how in {"reversed", "wrong etag", "unknown"}:
            instead |= COMPLETE_ORDER
        if any((number, part) in self.empty for part in chosen[:-1]):
            instead |= COMPLETE_EMPTY_PART
        if self.pair.call("complete_multipart_upload", parameters, view, instead=instead):
            del self.uploads[number]
            self.pair.call("get_object", lambda _: {"Key": name}, object_view)
            self.pair.call("head_object", lambda _: {"Key": name}, object_view)

    @precondition(lambda self: self.uploads)
    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.uploads)))
        name = self.uploads.pop(number)
        self.pair.call("abort_multipart_upload", lambda side: {"Key": name, "UploadId": side.uploads[number]})
        self.pair.call("list_parts", lambda side: {"Key": name, "UploadId": side.uploads[number]})

    def teardown(self) -> None:
        """In the end no upload is left open, either."""
        for number, name in self.uploads.items():
            self.pair.call("abort_multipart_upload", lambda side: {"Key": name, "UploadId": side.uploads[number]})  # noqa: B023 - called here
        super().teardown()
