"""The head of a request, exactly as it came: nothing is decoded, normalised or reordered.

SigV4 signs the path, the query and the headers as they were sent, so they are kept that way. Header names are lower
case (RFC 9110, section 5.1: they are case-insensitive); values of a name that comes several times are kept apart and
read joined by a comma, which is also how SigV4 signs them, so nobody reads another value than was signed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from s3proxy.s3api.errors import S3Error

# A second one of these could make two readers of a request disagree about it.
_SINGLE = frozenset(
    {
        "authorization", "content-length", "content-md5", "content-type", "date", "host", "range",
        "x-amz-content-sha256", "x-amz-copy-source", "x-amz-copy-source-range", "x-amz-date",
        "x-amz-decoded-content-length", "x-amz-sdk-checksum-algorithm", "x-amz-security-token",
    }
)  # fmt: skip


@dataclass(frozen=True)
class RequestHead:
    """Method, target and headers of a request; made by ``make_head``.

    Attributes:
        method: upper case.
        raw_path: begins with a slash, percent-encoded as received.
        raw_query: what follows the first question mark, without it; "" when there is none.
        headers: (lower-case name, value) in the order received.
        by_name: each name once, with its value; several are joined by a comma.
    """

    method: str
    raw_path: str
    raw_query: str = field(repr=False)  # may hold a signature that is still good
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    by_name: Mapping[str, str] = field(repr=False, compare=False)

    def header(self, name: str) -> str:
        """Return the value of a header (lower-case name), several joined by a comma; "" when there is none."""
        return self.by_name.get(name, "")

    def has(self, name: str) -> bool:
        """Return whether a header (lower-case name) was sent, even if empty."""
        return name in self.by_name

    def names(self) -> Iterable[str]:
        """Return each header name once."""
        return self.by_name.keys()

    def with_headers(self, extra: Iterable[tuple[str, str]]) -> "RequestHead":
        """Return a head with more headers."""
        return _assemble(self.method, self.raw_path, self.raw_query, (*self.headers, *extra))


def make_head(method: str, raw_target: str, headers: Iterable[tuple[str, str]]) -> RequestHead:
    """Take the request line and the headers of a request.

    Args:
        method: as received.
        raw_target: path and query as received.
        headers: (name, value) pairs, names in any case.

    Raises:
        S3Error: InvalidURI when the target is not in origin form (RFC 9112, section 3.2.1) or has a fragment;
            InvalidRequest when a header that must be single is repeated, or Host is none (RFC 9112, section 3.2).
    """
    if not raw_target.startswith("/") or "#" in raw_target:
        raise S3Error("InvalidURI", "Couldn't parse the specified URI.")
    path, _, query = raw_target.partition("?")
    return _assemble(method, path, query, tuple((name.lower(), value) for name, value in headers))


def _assemble(method: str, path: str, query: str, headers: tuple[tuple[str, str], ...]) -> RequestHead:
    by_name: dict[str, str] = {}
    for name, value in headers:
        if name not in by_name:
            by_name[name] = value
        elif name in _SINGLE:
            raise S3Error("InvalidRequest", f"The header {name} must not be repeated.")
        else:
            by_name[name] += "," + value
    if not by_name.get("host", "").isascii():  # it is told in Location
        raise S3Error("InvalidRequest", "The header host is malformed.")
    return RequestHead(method, path, query, headers, by_name)
