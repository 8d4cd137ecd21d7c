"""The body of an upload by HTML form: its fields, then its file, as they come. Pure. RFC 7578, RFC 2046 section 5.1.

Fields behind the file are read and dropped, as S3 does. The length of a file is not told by the form:
``file_bytes_expected`` says what it is when nothing but the end of the form follows the file, as all clients send it
but forms with a named submit button.
"""

import re
from enum import Enum
from typing import Final, NoReturn

from s3proxy.s3api.errors import S3Error

MAX_FIELDS_BYTES: Final = 20 * 1024  # S3 API reference, "POST Object": of all that is not the file
FILE_FIELD: Final = "file"
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_CRLF: Final = b"\r\n"
_HEAD_END: Final = b"\r\n\r\n"
_MAX_HEAD_LINES: Final = 16  # a field has two or three
_MAX_PARAMETERS: Final = 64  # of a header
# RFC 9110, section 5.6.6; but what is not quoted may hold more, as browsers send it.
_PARAMETER: Final = re.compile(
    r""";[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:"([^"\\]*(?:\\.[^"\\]*)*)"|([^";]*))[ \t]*""", re.DOTALL
)
_ESCAPED: Final = re.compile(r'\\([\\"])')
_POLICY_BYTES: Final = 64 * 1024  # a policy may be longer than all other fields together


class _State(Enum):
    PREAMBLE = 1  # nothing yet; the first delimiter may come without a line break before it
    AFTER_DELIMITER = 2
    HEAD = 3
    FIELD = 4
    FILE = 5
    DROPPED = 6
    END = 7


class FormReader:
    """Reads one form.

    Attributes:
        fields: (name, value) of the fields before the file.
        filename: that the client gives the file.
        file_type: Content-Type of the file, or "".
        file_begun: whether the fields are complete.
        file_ended: whether the file is.
    """

    def __init__(self, content_type: str) -> None:
        """Take the Content-Type of the request.

        Raises:
            S3Error: MalformedPOSTRequest, as it names no boundary.
        """
        kind, parameters = _parse_header(content_type)
        named = _BOUNDARY.fullmatch(parameters.get("boundary", ""))
        if named is None or kind != "multipart/form-data":
            _malformed("its Content-Type names no boundary")
        self._delimiter = b"\r\n--" + named[0].encode("ascii")
        self._state = _State.PREAMBLE
        self._kept = bytearray(_CRLF)  # so that the first delimiter is like the others
        self._consumed = -len(_CRLF)
        self._searched = 0  # up to where what is kept has no delimiter
        self._name = ""
        self._file_at = 0
        self.fields: list[tuple[str, str]] = []
        self.filename = ""
        self.file_type = ""
        self.file_begun = False
        self.file_ended = False

    def file_bytes_expected(self, body_bytes: int) -> int:
        """Return the length of the file in a body of this length, if nothing follows the file.

        Raises:
            S3Error: MalformedPOSTRequest, as the form would have no room for its end.
        """
        length = body_bytes - self._file_at - len(self._delimiter) - len(b"--\r\n")
        if length < 0:
            _malformed("it ends early")
        return length

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes; return what of the file is in them. Fields are complete once ``file_begun``.

        Raises:
            S3Error: MalformedPOSTRequest; MaxPostPreDataLengthExceededError for fields that are too long.
        """
        self._kept += data
        pieces: list[bytes] = []
        while self._step(pieces):
            pass
        before_file = self._file_at if self.file_begun else self._consumed + len(self._kept)
        if before_file > MAX_FIELDS_BYTES + _POLICY_BYTES:
            code = "MaxPostPreDataLengthExceededError"
            raise S3Error(code, "Your POST request fields preceding the upload file were too large.")
        return pieces

    def finish(self) -> None:
        """Return if the form has ended.

        Raises:
            S3Error: MalformedPOSTRequest, or InvalidArgument when there was no file.
        """
        if self._state is not _State.END:
            _malformed("it ends early")
        if not self.file_begun:
            code, msg = "InvalidArgument", "POST requires exactly one file upload per request."
            raise S3Error(code, msg, details={"ArgumentName": "file", "ArgumentValue": "0"})

    def _step(self, pieces: list[bytes]) -> bool:
        """Take one thing out of what is kept; return whether there may be more."""
        if self._state is _State.END:
            self._take(len(self._kept))
            return False
        if self._state is _State.AFTER_DELIMITER:
            return self._after_delimiter()
        if self._state is _State.HEAD:
            return self._head()
        if self._state is _State.PREAMBLE and not self._delimiter.startswith(self._kept[: len(self._delimiter)]):
            _malformed("something stands before its first field")
        at = self._find(self._delimiter)
        if self._state in {_State.PREAMBLE, _State.FIELD} and at < 0:
            return False  # a field is taken whole
        body = self._take(at if at >= 0 else max(0, len(self._kept) - len(self._delimiter) + 1))
        if self._state is _State.FILE and body:
            pieces.append(body)
        if at < 0:
            return False
        if self._state is _State.FIELD:
            self.fields.append((self._name, _text(body)))
        self.file_ended = self.file_ended or self._state is _State.FILE
        self._take(len(self._delimiter))
        self._state = _State.AFTER_DELIMITER
        return True

    def _after_delimiter(self) -> bool:
        if len(self._kept) < len(_CRLF):
            return False
        end = self._take(len(_CRLF))
        if end not in {_CRLF, b"--"}:
            _malformed("a boundary is not followed by a line break")
        self._state = _State.HEAD if end == _CRLF else _State.END
        return True

    def _head(self) -> bool:
        at = self._find(_HEAD_END)
        if at < 0:
            if len(self._kept) > MAX_FIELDS_BYTES:
                _malformed("a field has too long a head")
            return False
        head = _parse_head(self._take(at))
        self._take(len(_HEAD_END))
        kind, parameters = _parse_header(head.get("content-disposition", ""))
        name = parameters.get("name", "")
        if kind != "form-data" or not name:
            _malformed("a field has no name")
        self._name = name
        if self.file_begun:
            self._state = _State.DROPPED
        elif name.lower() == FILE_FIELD:
            self.filename = parameters.get("filename", "")
            self.file_type = head.get("content-type", "")
            self.file_begun = True
            self._file_at = self._consumed
            self._state = _State.FILE
        else:
            self._state = _State.FIELD
        return True

    def _find(self, part: bytes) -> int:
        """Find what ends what is being read; what comes byte by byte is searched once."""
        at = self._kept.find(part, self._searched)
        if at < 0:
            self._searched = max(0, len(self._kept) - len(part) + 1)
        return at

    def _take(self, length: int) -> bytes:
        taken = bytes(self._kept[:length])
        del self._kept[:length]
        self._searched = 0
        self._consumed += length
        return taken


def _parse_head(raw: bytes) -> dict[str, str]:
    lines = raw.split(_CRLF)
    if len(lines) > _MAX_HEAD_LINES or raw.count(b";") > _MAX_PARAMETERS:
        _malformed("a field has a malformed head")
    head: dict[str, str] = {}
    for line in lines:
        name, colon, value = _text(line).partition(":")
        name = name.strip().lower()
        if not colon or name in head:
            _malformed("a field has a malformed head")
        head[name] = value.strip()
    return head


def _parse_header(text: str) -> tuple[str, dict[str, str]]:
    """Return value and parameters of a header; names in lower case.

    A parameter in a charset of its own choice is refused, as ``filename*`` must not be sent (RFC 7578, section 4.2).
    """
    if text.count(";") > _MAX_PARAMETERS:
        _malformed("a header has too many parameters")
    text = text.rstrip("; \t")
    value = text.partition(";")[0]
    parameters: dict[str, str] = {}
    at = len(value)
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None or "*" in match[1] or match[1].lower() in parameters:
            _malformed("a header has malformed parameters")
        quoted = match[2]
        parameters[match[1].lower()] = match[3].strip() if quoted is None else _ESCAPED.sub(r"\1", quoted)
        at = match.end()
    return value.strip().lower(), parameters


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        _malformed("a field is not UTF-8")


def _malformed(what: str) -> NoReturn:
    code = "MalformedPOSTRequest"
    raise S3Error(code, f"The body of your POST request is not well-formed multipart/form-data: {what}.")
