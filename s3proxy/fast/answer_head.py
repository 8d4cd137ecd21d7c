"""The head of an answer as bytes: the very ones that aiohttp writes for the same answer. Pure but for the date."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from aiohttp.helpers import rfc822_formatted_time

_STATUS_LINES: Final = {status: f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n" for status in (200, 206)}
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
DEFAULT_TYPE: Final = "application/octet-stream"  # RFC 9110, section 8.3


class OddHeaderError(Exception):
    """A header cannot be written."""


def answer_head(status: int, headers: Mapping[str, str], *, request_id: str, length: int, has_body: bool) -> bytes:
    """Return status line and headers, with the empty line behind them.

    Args:
        status: of the answer.
        headers: of the object.
        request_id: of the exchange.
        length: of the body, or of what GET would have answered HEAD.
        has_body: whether the body follows.

    Raises:
        OddHeaderError: something in it is no header.
    """
    text = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if text.count("\n") != len(headers) or text.count("\r") != len(headers) or _CONTROL.search(text):
        raise OddHeaderError
    type_line = "" if not has_body or not length or "content-type" in headers else f"Content-Type: {DEFAULT_TYPE}\r\n"
    text = (
        f"{_STATUS_LINES[status]}{text}x-amz-request-id: {request_id}\r\nServer: strongroom\r\n"
        f"Content-Length: {length}\r\n{type_line}Date: {rfc822_formatted_time()}\r\n\r\n"
    )
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise OddHeaderError from None
