"""What the store can and cannot do, and what is refused because of it. Pure.

Stores that speak S3 differ. What matters here is found out at the start (``probe``), unless a setting says it.

Some change names: two names would then be one object, and neither be what it was sealed as. Each shape of names is
tried with a sample, and names of one that the store changes are refused (ADR 0020); dot segments are refused for every
store, before anything else.
"""

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final, Self

from s3proxy.s3api.errors import S3Error
from s3proxy.s3api.head import RequestHead
from s3proxy.s3api.operation_table import Operation
from s3proxy.store.slash_keys import SEGMENT, has_segment, is_told_apart
from strongroom.errors import UnavailableError

_MULTIPART: Final = frozenset({Operation.CREATE_MULTIPART_UPLOAD, Operation.COMPLETE_MULTIPART_UPLOAD})
_WRITES: Final = frozenset({Operation.PUT_OBJECT, Operation.COPY_OBJECT, Operation.COMPLETE_MULTIPART_UPLOAD})
_READS: Final = frozenset({"GET", "HEAD"})
_EDGE: Final = re.compile(r"(?:\A|/) |[ .](?:/|\Z)")
_CONTROL: Final = re.compile(r"[\t\n\r\x7f]")


@dataclass(frozen=True)
class Shape:
    """A kind of names.

    Attributes:
        title: as a person is told of it.
        sample: a name of the kind; ``{}`` stands for where it is tried.
        has: whether a name is of the kind.
    """

    title: str
    sample: str
    has: Callable[[str], bool]


SHAPES: Final = (
    Shape("two slashes in a row", "{}a//b", lambda key: "//" in key),
    Shape("a slash at the beginning", "/{}lead", lambda key: key.startswith("/")),
    Shape("a backslash", "{}a\\b", lambda key: "\\" in key),
    Shape("a percent sign", "{}a%2fb", lambda key: "%" in key),
    Shape("a plus sign", "{}a+b", lambda key: "+" in key),
    Shape("a blank or a dot at the edge of a segment", "{} edge. ", lambda key: _EDGE.search(key) is not None),
    Shape("a tab or the end of a line", "{}a\tb", lambda key: _CONTROL.search(key) is not None),
    Shape("letters that Unicode composes", "{}e\u0301", lambda key: not unicodedata.is_normalized("NFC", key)),
)
ALL_TITLES: Final = frozenset(shape.title for shape in SHAPES)


def changed_shape(key: str, titles: frozenset[str]) -> str:
    """Return the title of the first of these shapes that a name has, or ""."""
    return next((shape.title for shape in SHAPES if shape.title in titles and shape.has(key)), "")


class NotKnownError(UnavailableError):
    """What the store can do has to be known, and is not known yet."""


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What the store can do; None where it is not known yet.

    Attributes:
        part_counts: the ETag of a multipart object ends in ``-N``, the number of its parts. Sizes in lists, and the
            place of the manifest, come from it.
        conditional_writes: If-Match and If-None-Match on writes are obeyed, together with the write.
        slash_content: an object whose key ends in a slash keeps its content and its metadata.
        checksums: CRC-64/NVME of what is sent is verified, in a header and behind a stream.
        changed_names: shapes of names that the store keeps under other names.
    """

    part_counts: bool | None = None
    conditional_writes: bool | None = None
    slash_content: bool | None = None
    checksums: bool | None = None
    changed_names: frozenset[str] | None = None

    @property
    def are_known(self) -> bool:
        """Whether nothing is left to be asked."""
        return None not in asdict(self).values()

    def require(self, operation: Operation, head: RequestHead) -> None:
        """Return if the store can do what a request needs.

        Raises:
            S3Error: NotImplemented, which names what is lacking.
            NotKnownError: it is not known yet.
        """
        if operation in _MULTIPART:
            lacking = "tell the number of parts in its ETags, so multipart uploads are not possible"
            _require(self.part_counts, lacking, "store_part_counts")
        if operation in _WRITES and (head.has("if-match") or head.has("if-none-match")):
            lacking = "decide conditions of writes"
            _require(self.conditional_writes, lacking, "store_conditional_writes")

    def decides_conditions(self) -> bool:
        """Return whether conditions of writes are obeyed.

        Raises:
            NotKnownError: it is not known yet.
        """
        if self.conditional_writes is None:
            raise _not_known()
        return self.conditional_writes

    def keeps_slash_content(self) -> bool:
        """Return whether content under a key that ends in a slash is kept there.

        Raises:
            NotKnownError: it is not known yet, so it is not known either where such content stands.
        """
        if self.slash_content is None:
            raise _not_known()
        return self.slash_content

    def require_delimiter(self, delimiter: str) -> None:
        """Return if listings can be grouped by a delimiter.

        Raises:
            S3Error: NotImplemented, as it would cut through the segment that content under ``name/`` is kept by.
        """
        if not is_told_apart(delimiter):
            lacking = f"keep content under a key that ends in a slash, so lists cannot be grouped by {delimiter}"
            _require(self.keeps_slash_content(), lacking, "store_slash_content")

    def require_name(self, key: str, *, method: str) -> None:
        """Return if the store keeps a name as it is. What it would keep under another name does not exist.

        Args:
            key: of an object.
            method: of the request to the store; what is only read does no harm before all is known.

        Raises:
            S3Error: NoSuchKey for a read, NotImplemented for anything else.
            NotKnownError: it is not known yet.
        """
        if has_segment(key) and not self.keeps_slash_content():
            if method in _READS:
                raise no_such_key(hint=f"the segment {SEGMENT} is the proxy's own on this store")
            lacking = f"keep content under a key that ends in a slash, for which the proxy needs the segment {SEGMENT}"
            _require(False, lacking, "store_slash_content")
        titles = self.changed_names
        if titles is None:
            if method not in _READS and changed_shape(key, ALL_TITLES):
                raise _not_known()
            return
        title = changed_shape(key, titles) if titles else ""
        if not title:
            return
        if method in _READS:
            raise no_such_key(hint=f"the store keeps no name with {title} as it is")
        _require(False, f"keep a name with {title} as it is", "store_keeps_names")

    def describe(self) -> str:
        """Return one line for a person."""
        words = {True: "yes", False: "no", None: "not known yet"}
        changed = None if self.changed_names is None else ", ".join(sorted(self.changed_names)) or "none"
        return (
            f"part counts in ETags: {words[self.part_counts]}, conditional writes: {words[self.conditional_writes]}, "
            f"content under name/: {words[self.slash_content]}, checksums: {words[self.checksums]}, "
            f"names that it changes: {changed or words[None]}"
        )

    def to_json(self) -> str:
        """Return the text that ``from_json`` reads."""
        changed = None if self.changed_names is None else sorted(self.changed_names)
        return json.dumps(asdict(self) | {"changed_names": changed})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what another process of this proxy has found out."""
        found = json.loads(text)
        changed = found.pop("changed_names")
        return cls(**found, changed_names=None if changed is None else frozenset(changed))


def _require(known: bool | None, lacking: str, setting: str) -> None:  # noqa: FBT001 - a capability is a truth value
    if known is None:
        raise _not_known()
    if not known:
        code, msg = "NotImplemented", f"The store behind this endpoint does not {lacking}."
        raise S3Error(code, msg, hint=f"only if it is known to, set {setting} to yes: a wrong yes loses objects")


def no_such_key(*, hint: str) -> S3Error:
    """Return the refusal to read what cannot be there."""
    return S3Error("NoSuchKey", "The specified key does not exist.", hint=hint)


def _not_known() -> NotKnownError:
    msg = "what the store can do is not known yet"
    return NotKnownError(msg, hint="it is asked again until it answers; /readyz shows what is not known")
