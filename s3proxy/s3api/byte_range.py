"""The Range header: one range of bytes, or nothing that counts. Pure. RFC 9110, section 14.1.2."""

import re
from dataclasses import dataclass

from s3proxy.s3api.errors import S3Error

_RANGE = re.compile(r"bytes=\s*([0-9]{0,19})-([0-9]{0,19})\s*", re.IGNORECASE)


@dataclass(frozen=True)
class ByteRange:
    """A range as it was asked for.

    Attributes:
        first: first byte; None for a suffix.
        last: last byte, or None for the end; of a suffix how many bytes.
    """

    first: int | None
    last: int | None

    @property
    def is_suffix(self) -> bool:
        """Whether it counts from the end."""
        return self.first is None

    def resolve(self, size: int) -> tuple[int, int]:
        """Return first and last byte in an object of this size.

        Raises:
            S3Error: InvalidRange, as there is no byte in it.
        """
        if self.first is None:
            first, last = max(0, size - (self.last or 0)), size - 1
            empty = not self.last or not size
        else:
            first, last = self.first, size - 1 if self.last is None else min(self.last, size - 1)
            empty = first >= size
        if empty:
            code, msg = "InvalidRange", "The requested range is not satisfiable"
            error = S3Error(code, msg, details={"ActualObjectSize": str(size)})
            error.headers = {"Content-Range": f"bytes */{size}"}  # RFC 9110, section 15.5.17
            raise error
        return first, last


def parse_range(text: str) -> ByteRange | None:
    """Read a Range header; None if there is none, or several or malformed ones: S3 then answers with the whole."""
    match = _RANGE.fullmatch(text.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return ByteRange(None, int(match[2]))
    first, last = int(match[1]), int(match[2]) if match[2] else None
    return None if last is not None and last < first else ByteRange(first, last)
