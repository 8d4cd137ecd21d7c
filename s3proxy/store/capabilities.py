"""What the store can and cannot do, and what is refused because of it. Pure.

Stores that speak S3 differ. What matters here is found out at the start (``probe``), unless a setting says it.
"""

from dataclasses import dataclass
from typing import Final

from s3proxy.front.errors import S3Error
from s3proxy.front.head import RequestHead
from s3proxy.front.operation_table import Operation
from strongroom.errors import UnavailableError

_MULTIPART: Final = frozenset({Operation.CREATE_MULTIPART_UPLOAD, Operation.COMPLETE_MULTIPART_UPLOAD})
_WRITES: Final = frozenset({Operation.PUT_OBJECT, Operation.COPY_OBJECT, Operation.COMPLETE_MULTIPART_UPLOAD})


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What the store can do; None where it is not known yet.

    Attributes:
        part_counts: the ETag of a multipart object ends in ``-N``, the number of its parts. Sizes in lists, and the
            place of the manifest, come from it.
        conditional_writes: If-Match and If-None-Match on writes are obeyed, together with the write.
    """

    part_counts: bool | None = None
    conditional_writes: bool | None = None

    def require(self, operation: Operation, head: RequestHead) -> None:
        """Return if the store can do what a request needs.

        Raises:
            S3Error: NotImplemented, which names what is lacking.
            UnavailableError: it is not known yet.
        """
        if operation in _MULTIPART:
            lacking = "tell the number of parts in its ETags, so multipart uploads are not possible"
            _require(self.part_counts, lacking, "store_part_counts")
        if operation in _WRITES and (head.has("if-match") or head.has("if-none-match")):
            lacking = "decide conditions of writes"
            _require(self.conditional_writes, lacking, "store_conditional_writes")

    def describe(self) -> str:
        """Return one line for a person."""
        words = {True: "yes", False: "no", None: "not known yet"}
        return f"part counts in ETags: {words[self.part_counts]}, conditional writes: {words[self.conditional_writes]}"


def _require(known: bool | None, lacking: str, setting: str) -> None:  # noqa: FBT001 - a capability is a truth value
    if known is None:
        msg = "what the store can do is not known yet"
        raise UnavailableError(msg, hint="it is asked as soon as it answers")
    if not known:
        code, msg = "NotImplemented", f"The store behind this endpoint does not {lacking}."
        raise S3Error(code, msg, hint=f"if it does, set {setting} to yes")
