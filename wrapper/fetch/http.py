"""Just enough HTTP/1.1 for one request to the bridge (RFC 9112). Pure: text in, text out, no socket.

``http.client`` would be the natural choice. It costs every launch 10 ms of imports, and it reads bodies into Python
objects, where a secret may not be.
"""

from strongroom.errors import ConfigError, PeerError

MAX_HEAD_BYTES = 16_384
_END_OF_HEAD = b"\r\n\r\n"
DEFAULT_PORT = 8443
_STATUS_DIGITS = 3
_MAX_LENGTH_DIGITS = 18  # what 64 bits hold; the limits of the receivers are far below

_DIGITS = frozenset("0123456789")
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_NAME_CHARS = _LETTERS | _DIGITS | frozenset(".-_")
_IPV6_CHARS = _DIGITS | frozenset("abcdefABCDEF:.")
_TOKEN_CHARS = _LETTERS | _DIGITS | frozenset("!#$%&'*+-.^_`|~")  # RFC 9110, 5.6.2
_CONTROLS = frozenset(map(chr, range(0x20))) - {"\t"} | {"\x7f"}  # RFC 9110, 5.5: none may appear in a value


class Url:
    """Host and port of the bridge."""

    __slots__ = ("host", "port")

    def __init__(self, text: str) -> None:
        """Parse ``https://HOST[:PORT]``; an IPv6 address is in brackets (RFC 3986, 3.2.2).

        Raises:
            ConfigError: the text is something else.
        """
        authority = text.removeprefix("https://").removesuffix("/")
        if authority.startswith("["):
            host, bracket, rest = authority[1:].partition("]")
            legal = bracket != "" and ":" in host and _IPV6_CHARS.issuperset(host)
            colon, port = rest[:1], rest[1:]
        else:
            host, colon, port = authority.partition(":")
            legal = host != "" and not host.startswith(".") and _NAME_CHARS.issuperset(host)
        if colon:
            legal = legal and colon == ":" and _is_port(port)
        if not legal or not text.startswith("https://"):
            msg = f"STRONGROOM_BRIDGE={text!r}: must be https://HOST[:PORT]"
            raise ConfigError(msg, hint="set it to the address of the bridge, for example https://bridge:8443")
        self.host = host
        self.port = int(port) if colon else DEFAULT_PORT

    def __str__(self) -> str:
        """Return ``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _is_port(text: str) -> bool:
    return 0 < len(text) <= 5 and _DIGITS.issuperset(text) and 0 < int(text) < 65_536  # noqa: PLR2004


class ResponseHead:
    """Status and headers of a response; names are lower case."""

    __slots__ = ("headers", "status")

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status = status
        self.headers = headers

    @property
    def content_length(self) -> int:
        """The length of the body in bytes.

        Raises:
            PeerError: it is not stated; nothing but a stated length tells a whole body from a cut one.
        """
        text = self.headers.get("content-length", "")
        legal = 0 < len(text) <= _MAX_LENGTH_DIGITS and _DIGITS.issuperset(text)
        if "transfer-encoding" in self.headers or not legal:
            msg = "the bridge's answer does not state its length"
            raise PeerError(msg, hint="is there a proxy between wrapper and bridge?")
        return int(text)

    @property
    def retry_after_s(self) -> float:
        """Seconds to wait before the next request, 0 if not stated (RFC 9110, 10.2.3; the date form is not used)."""
        text = self.headers.get("retry-after", "")
        return min(float(text), 60.0) if text.isascii() and text.isdigit() else 0.0


def encode_post(url: Url, path: str, body: bytes) -> bytes:
    """Write a POST request that ends its connection."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {url}\r\nUser-Agent: strongroom-wrapper\r\nAccept: */*\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


def missing_of_head(head: bytearray) -> int:
    """Return how many bytes a head lacks at least, by how much of its end is there; 0 when it is whole."""
    return next(4 - there for there in (4, 3, 2, 1, 0) if head.endswith(_END_OF_HEAD[:there]))


def decode_head(head: bytes) -> ResponseHead:
    """Read the head of a response, up to and including its empty line.

    Raises:
        PeerError: it is not HTTP/1.x. Whatever two readers could understand in two ways is refused: control characters,
            lines that end otherwise, continued lines, a space before the colon, two lengths.
    """
    lines = head.removesuffix(b"\r\n\r\n").decode("latin-1").split("\r\n")
    version, _, rest = lines[0].partition(" ")
    status, _, reason = rest.partition(" ")
    legal = len(status) == _STATUS_DIGITS and _DIGITS.issuperset(status) and _CONTROLS.isdisjoint(reason)
    if version not in {"HTTP/1.0", "HTTP/1.1"} or not legal:
        raise PeerError("the answer is not HTTP", hint="does STRONGROOM_BRIDGE point to the bridge's HTTPS port?")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not name or not colon or not _TOKEN_CHARS.issuperset(name) or not _CONTROLS.isdisjoint(value):
            raise PeerError("the answer has a malformed header", hint="is there a proxy between wrapper and bridge?")
        name = name.lower()
        value = value.strip(" \t")
        if name == "content-length" and headers.get(name, value) != value:  # RFC 9112, 6.3: a smuggling vector
            msg = "the answer states two lengths"
            raise PeerError(
                msg, hint="does STRONGROOM_BRIDGE lead to the bridge, and to nothing before it that answers itself?"
            )
        headers[name] = value
    return ResponseHead(int(status), headers)
