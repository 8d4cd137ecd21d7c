"""The objects of the vectors that every reader must refuse."""

from collections.abc import Iterator
from dataclasses import replace

from tests.vectors.object.objects import (
    BUCKET,
    CHUNK,
    KEY,
    MARK,
    MULTI,
    OTHER,
    PARTS,
    TAG,
    THREE,
    Case,
    contents_of,
    parts_of,
)
from tests.vectors.object.writer import (
    MANIFEST,
    PART,
    WHOLE,
    Bk,
    Contents,
    Digests,
    Head,
    Record,
    chunks,
    digests_of,
    entry,
    footer,
    manifest,
    metadata,
    name_tag,
    noise,
    part,
    text,
    upload_tag,
)
from tests.vectors.object.writer import field as attribute


def bad() -> Iterator[Case]:
    """Objects that every reader must refuse; the name begins with the number of the broken rule."""
    yield from _bad_headers()
    yield from _bad_bodies()
    yield from _bad_entries()
    yield from _bad_manifests()
    yield from _bad_parts()


PLAIN = b"abc"
GOOD = Head(WHOLE, len(PLAIN), "bad")


def _body(head: Head, tail: bytes | None = None) -> bytes:
    return (
        head.raw() + b"".join(chunks(head, PLAIN)) + (footer(head, digests_of(PLAIN).raw()) if tail is None else tail)
    )


def _case(name: str, head: Head = GOOD, stored: bytes | None = None) -> Case:
    return Case(name, _body(head) if stored is None else stored, text(entry(head, BUCKET, KEY)))


def _bad_headers() -> Iterator[Case]:
    body = _body(GOOD)
    yield _case("1-no-bytes", stored=b"")
    yield _case("1-shorter-than-a-header", stored=body[:255])
    yield _case("1-plaintext", stored=noise("plaintext", 600))
    yield _case("1-magic", replace(GOOD, magic=b"SEG2"))
    yield _case("1-suite", replace(GOOD, suite=2))
    yield _case("2-kind-zero", replace(GOOD, kind=0))
    yield _case("2-kind-five", replace(GOOD, kind=5))
    yield _case("2-flags", replace(GOOD, flags=1))
    yield _case("2-reserved", replace(GOOD, reserved=bytes(7) + b"\1"))
    yield _case("3-chunk-size-15", replace(GOOD, log2=15))
    yield _case("3-chunk-size-17", replace(GOOD, log2=17))
    yield _case("3-chunk-size-255", replace(GOOD, log2=255))
    yield _case("3-length-beyond-the-limit", replace(GOOD, length=(1 << 48) + 1))
    yield _case("3-length-all-ones", replace(GOOD, length=(1 << 64) - 1))
    yield _case("4-part-number-of-a-whole-object", replace(GOOD, part=1))
    one = Head(PART, len(PLAIN), "bad part", object_id=TAG, part=1)
    contents = Contents((Record(1, len(PLAIN)),), name_tag(BUCKET, KEY))
    marker = text(entry(MARK, BUCKET, KEY))
    for name, head in {
        "3-chunk-size-of-a-part": replace(one, log2=17),
        "4-part-number-zero": replace(one, part=0),
        "4-part-number-10001": replace(one, part=10_001),
    }.items():
        yield Case(name, part(head, PLAIN) + manifest(contents, TAG), marker)
    good_part = part(one, PLAIN)
    for name, length in {
        "3-manifest-of-no-parts": 144,
        "3-manifest-of-odd-length": 161,
        "3-manifest-10001": 160_160,
    }.items():
        head = Head(MANIFEST, length, "m", object_id=TAG)
        yield Case(name, good_part + head.raw() + bytes(length + 16), marker)
    yield _case("3-length-of-a-marker", stored=replace(MARK, length=1).raw())
    wrapped = Bk().wrapped()
    for name, value in {
        "form-3": b"\3" + wrapped[1:],
        "form-0": b"\0" + wrapped[1:],
        "version-0": wrapped[:1] + bytes(4) + wrapped[5:],
        "too-short": wrapped[:52],
        "too-long": wrapped.ljust(101, b"\1")[:101],
    }.items():
        length = len(value)
        yield _case(f"5-wrapped-{name}", replace(GOOD, wrapped=value[:100], wrapped_length=length))
    yield _case(
        "5-wrapped-padding", replace(GOOD, wrapped=wrapped.ljust(99, b"\0") + b"\1", wrapped_length=len(wrapped))
    )
    for name, value in {
        "empty": b"",
        "upper-case": b"Default",
        "slash": b"a/b",
        "dash-first": b"-a",
        "padding": b"default\0x",
        "line-end": b"default\n",
        "not-ascii": "größe".encode(),
    }.items():
        yield _case(f"5-policy-{name}", replace(GOOD, policy=value))
    yield _case("6-wrapped-damaged", replace(GOOD, wrapped=wrapped[:-1] + bytes([wrapped[-1] ^ 1])))
    yield _case("6-wrapped-of-another-key", replace(GOOD, wrapped=OTHER.wrapped()))
    yield _case("6-another-policy", replace(GOOD, policy=b"archive"))
    yield _case("6-short-key", replace(GOOD, wrapped=wrapped[:-10]))
    raw = GOOD.raw()
    for name, at in {"salt": 33, "object-id": 64, "key-of-the-commitment": 224, "commitment-end": 255}.items():
        flipped = bytearray(body)
        flipped[at] ^= 1
        yield _case(f"7-{name}", stored=bytes(flipped))
    longer = replace(GOOD, length=4)
    yield _case("7-length", stored=raw[:8] + longer.raw()[8:16] + raw[16:] + body[256:] + b"\0")
    yield _case("7-no-commitment", stored=raw[:224] + bytes(32) + body[256:])
    other = Head(WHOLE, len(PLAIN), "another attempt")
    yield _case("7-commitment-of-another-object", stored=raw[:224] + other.raw()[224:] + body[256:])


def _bad_bodies() -> Iterator[Case]:
    body = _body(GOOD)
    yield _case("8-header-only", stored=body[:256])
    yield _case("8-no-footer", stored=body[:-112])
    yield _case("8-one-byte-less", stored=body[:-1])
    yield _case("8-one-byte-more", stored=body + b"\0")
    yield _case("8-footer-twice", stored=body + body[-112:])
    base, size = THREE.stored, CHUNK + 16
    head, first, second, rest = (
        base[:256],
        base[256 : 256 + size],
        base[256 + size : 256 + 2 * size],
        base[256 + 2 * size :],
    )
    yield replace(THREE, name="8-chunk-removed", stored=head + first + rest)
    yield replace(THREE, name="8-last-chunk-removed", stored=head + first + second + base[-112:])
    yield replace(THREE, name="8-chunk-twice", stored=head + first + second + second + rest)
    yield replace(THREE, name="9-chunks-swapped", stored=head + second + first + rest)
    yield replace(THREE, name="9-chunk-repeated", stored=head + first + first + rest)
    flipped = bytearray(base)
    flipped[256 + 2 * size - 20] ^= 0x80
    yield replace(THREE, name="9-byte-of-the-second-chunk", stored=bytes(flipped))
    for name, at in {"first-byte": 256, "tag": 259, "last-byte-of-the-tag": 274}.items():
        damaged = bytearray(body)
        damaged[at] ^= 1
        yield _case(f"9-{name}", stored=bytes(damaged))
    twin = Head(WHOLE, len(PLAIN), "twin")
    yield _case("9-chunk-of-another-object", stored=body[:256] + chunks(twin, PLAIN)[0] + body[275:])
    yield _case("9-not-final", stored=body[:256] + chunks(GOOD, PLAIN, finals=[])[0] + body[275:])
    tail = body[-112:]
    yield _case("10-footer-byte", stored=body[:-112] + bytes([tail[0] ^ 1]) + tail[1:])
    yield _case("10-footer-tag", stored=body[:-1] + bytes([tail[-1] ^ 1]))
    yield _case("10-footer-of-another-object", stored=body[:-112] + footer(twin, digests_of(PLAIN).raw()))
    yield _case("10-no-footer-but-zeros", stored=body[:-112] + bytes(112))
    for name, digests in _bad_digests():
        yield _case(f"10-digests-{name}", stored=_body(GOOD, footer(GOOD, digests.raw())))


def _bad_digests() -> Iterator[tuple[str, Digests]]:
    crc = Digests(algorithm=1, scope=1, checksum=b"crc!")
    yield "md5-flag", Digests(has_md5=2)
    yield "md5-without-flag", Digests(md5=b"x" * 16)
    yield "algorithm", replace(crc, algorithm=6)
    yield "scope", replace(crc, scope=3)
    yield "scope-without-algorithm", Digests(scope=1)
    yield "algorithm-without-scope", replace(crc, scope=0)
    yield "zero", replace(crc, zero=1)
    yield "parts-of-a-full-object", replace(crc, parts=2)
    yield "composite-of-no-parts", replace(crc, scope=2)
    yield "composite-of-too-many-parts", replace(crc, scope=2, parts=10_001)
    yield "checksum-padding", replace(crc, checksum=b"crc!x")
    yield "checksum-without-algorithm", Digests(checksum=b"crc!")
    yield "reserved", replace(crc, reserved=bytes(39) + b"\1")


def _bad_entries() -> Iterator[Case]:
    body, raw = _body(GOOD), entry(GOOD, BUCKET, KEY)
    good_text = text(raw)

    def case(name: str, value: str | None) -> Case:
        return Case(name, body, value)

    yield case("11-no-entry", None)
    yield case("11-empty-entry", "")
    yield case("11-not-base64", good_text[:-4] + "!" + good_text[-3:])
    yield case("11-space", good_text + " ")
    yield case("11-not-ascii", good_text[:-1] + "ä")
    yield case("11-no-padding", good_text.rstrip("="))
    assert good_text.endswith("=")
    loose = good_text.rstrip("=")
    padding = good_text[len(loose) :]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    yield case("11-loose-bits", loose[:-1] + alphabet[alphabet.index(loose[-1]) ^ 1] + padding)
    yield case("11-too-short", text(raw[:283]))
    in_part = Head(PART, 3, "entry of a part", object_id=TAG, part=1)
    yield case("11-entry-of-a-part", text(entry(in_part, BUCKET, KEY)))
    for name, attributes in {
        "unknown": attribute(3, b""),
        "tag-zero": attribute(0, b""),
        "twice": attribute(2, b"") + attribute(2, b""),
        "out-of-order": attribute(2, b"") + attribute(1, Digests().raw()),
        "cut-in-the-head": attribute(2, b"")[:2],
        "cut-in-the-value": attribute(2, metadata({"a": "b"}))[:-1],
        "digests-too-short": attribute(1, Digests().raw()[:-1]),
        "digests-malformed": attribute(1, Digests(has_md5=3).raw()),
        "metadata-out-of-order": attribute(2, metadata([("b", "1"), ("a", "2")])),
        "metadata-name-twice": attribute(2, metadata([("a", "1"), ("a", "2")])),
        "metadata-cut": attribute(2, metadata({"a": "bcd"})[:-1]),
        "metadata-cut-in-a-length": attribute(2, metadata({"a": "b"})[:3]),
    }.items():
        yield case(f"11-attributes-{name}", text(entry(GOOD, BUCKET, KEY, attributes)))
    yield case("12-tag", text(raw[:-1] + bytes([raw[-1] ^ 1])))
    yield case("12-nonce", text(raw[:256] + bytes([raw[256] ^ 1]) + raw[257:]))
    yield case("12-cut", text(entry(GOOD, BUCKET, KEY, attribute(2, b""))[:-1]))
    yield case("12-another-key", text(entry(GOOD, BUCKET, KEY + "x")))
    yield case("12-another-bucket", text(entry(GOOD, "other", KEY)))
    first, _, rest = KEY.partition("/")
    yield case("12-the-border-of-bucket-and-key", text(entry(GOOD, f"{BUCKET}/{first}", rest)))
    yield case("13-entry-of-an-older-version", text(entry(Head(WHOLE, len(PLAIN), "older"), BUCKET, KEY)))
    yield case("13-marker-on-a-whole-object", text(entry(MARK, BUCKET, KEY)))
    yield replace(MULTI, name="13-entry-of-a-whole-object", entry=good_text)
    tail = contents_of(PARTS).raw()
    older = Head(MANIFEST, len(tail), "older manifest", object_id=TAG)
    yield replace(MULTI, name="13-entry-of-another-manifest", entry=text(entry(older, BUCKET, KEY)))


def _bad_manifests() -> Iterator[Case]:
    good_parts = {1: 40, 2: 3}
    parts = parts_of("m", good_parts)
    body = b"".join(parts.values())
    contents = contents_of(good_parts)
    marker = text(entry(MARK, BUCKET, KEY))
    for name, changed in {
        "count-too-high": replace(contents, count=3),
        "count-too-low": replace(contents, count=1),
        "zero": replace(contents, zero=b"\0\0\0\1"),
        "sum": replace(contents, total=44),
        "numbers-equal": replace(contents, records=(Record(1, 40), Record(1, 3))),
        "numbers-fall": replace(contents, records=(Record(2, 40), Record(1, 3))),
        "number-zero": replace(contents, records=(Record(0, 40), Record(2, 3))),
        "number-10001": replace(contents, records=(Record(1, 40), Record(10_001, 3))),
        "length-beyond-the-limit": replace(contents, records=(Record(1, 40), Record(2, (1 << 33) + 1))),
        "added-flag": replace(contents, records=(Record(1, 40), Record(2, 3, 2))),
        "added-with-plaintext": replace(contents, records=(Record(1, 40), Record(2, 3, 1))),
        "record-padding": replace(contents, records=(Record(1, 40), Record(2, 3, 0, b"\0\0\0\0\1"))),
        "digests": replace(contents, digests=Digests(scope=2)),
    }.items():
        yield Case(f"14-{name}", body + manifest(changed, TAG), marker)
    empty = b"".join(parts_of("m", {1: 0, 2: 3}).values())
    not_last = replace(contents, records=(Record(1, 0, 1), Record(2, 3)))
    yield Case("14-added-not-last", empty + manifest(not_last, TAG), marker)
    only = replace(contents, records=(Record(1, 0, 1),))
    yield Case("14-added-only", parts_of("m", {1: 0})[1] + manifest(only, TAG), marker)
    yield Case("15-another-key", body + manifest(replace(contents, name=name_tag(BUCKET, "x")), TAG), marker)
    yield Case("15-another-bucket", body + manifest(replace(contents, name=name_tag("x", KEY)), TAG), marker)
    good_manifest = manifest(contents, TAG)
    yield Case("8-cut-in-the-manifest", body + good_manifest[:-1], marker)
    yield Case("8-byte-behind-the-manifest", body + good_manifest + b"\0", marker)
    yield Case(
        "9-byte-of-the-manifest",
        body + good_manifest[:300] + bytes([good_manifest[300] ^ 1]) + good_manifest[301:],
        marker,
    )


def _bad_parts() -> Iterator[Case]:
    lengths = {1: 40, 2: 40}
    parts = parts_of("p", lengths)
    tail = manifest(contents_of(lengths), TAG)
    marker = text(entry(MARK, BUCKET, KEY))
    foreign = upload_tag(BUCKET, KEY, "upload-2")

    def case(name: str, *pieces: bytes) -> Case:
        return Case(name, b"".join(pieces), marker)

    yield case("16-part-dropped", parts[1], tail)
    yield case("16-first-part-dropped", parts[2], tail)
    yield case("16-part-twice", parts[1], parts[2], parts[2], tail)
    yield case("16-part-instead-of-another", parts[1], parts[1], tail)
    yield case("16-parts-swapped", parts[2], parts[1], tail)
    yield case("16-part-of-another-upload", parts[1], parts_of("q", lengths, foreign)[2], tail)
    yield case("16-manifest-of-another-upload", parts[1], parts[2], manifest(contents_of(lengths), foreign))
    yield case("16-part-of-other-length", parts[1], parts_of("p", {2: 41})[2], tail)
    yield case("16-lengths-exchanged", *parts_of("r", {1: 41, 2: 39}).values(), tail)
    yield case("16-no-manifest", parts[1], parts[2])
    yield case("16-part-alone", parts[1])
    yield case("16-bytes-before-the-manifest", parts[1], parts[2], bytes(16), tail)
    yield case("16-bytes-between-parts", parts[1], bytes(16), parts[2], tail)
    yield case("16-manifest-alone", tail)
    yield case("16-whole-object-instead-of-a-part", parts[1], _body(GOOD), tail)
    head = Head(PART, 40, "p 2", OTHER, TAG, 2)
    padded = part(head, noise("p 2", 40), padding=bytes(16 * 1023 - 1) + b"\1")
    yield case("10-padding-last", parts[1], padded, tail)
    padded = part(head, noise("p 2", 40), padding=b"\1" + bytes(16 * 1023 - 1))
    yield case("10-padding-first", parts[1], padded, tail)
