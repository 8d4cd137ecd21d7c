"""OpenBao's key-value engines: what their answers mean, and values as bytes. Pure.

Version 1 answers ``{"data": {...}}``; version 2 ``{"data": {"data": {...}, "metadata": {"version": 3}}}``, and for a
deleted or destroyed version the status 404 with that metadata (https://openbao.org/api-docs/secret/kv/).
"""

import base64
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from strongroom.errors import NotFoundError, PeerError, UndeliverableError

_MAX_DIGITS = 18
_MAX_KIND_CHARS = 100  # of an engine's type
_WHITE_SPACE = b" \t\n\r\v\f"
_NO_TEXT = "\ud800"  # a string without a UTF-8 form, which ``value_bytes`` refuses


@dataclass(frozen=True)
class Mount:
    """A key-value engine.

    Attributes:
        path: with a slash at its end.
        version: 1 or 2.
    """

    path: str
    version: int


@dataclass(frozen=True)
class Reading:
    """What was read from one path.

    Attributes:
        version: of the secret, 0 where the engine has no versions.
        data: keys and values as JSON has them, numbers as ``RawNumber``, or as ``keep_keys`` leaves them. Never shown.
        size_bytes: of memory that it takes, if its values are texts; found out once, in the thread that reads.
    """

    version: int
    data: Mapping[str, object] = field(repr=False)
    size_bytes: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Measure it: it may have tens of thousands of keys, and is asked for its size again and again."""
        size = sum(map(sys.getsizeof, self.data)) + sum(map(sys.getsizeof, self.data.values()))
        object.__setattr__(self, "size_bytes", size)


class RawNumber(str):
    """A JSON number as it was written, so that 1.10 stays 1.10 and no digit is lost."""

    __slots__ = ()


def parse_document(content: bytes) -> dict[str, object]:
    """Read an answer of OpenBao.

    Raises:
        PeerError: it is not a JSON object. The content is not quoted, it may hold secrets.
    """
    try:
        document = json.loads(content, parse_float=RawNumber, parse_int=RawNumber, parse_constant=RawNumber)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        msg = "OpenBao answers with something that is not a JSON object"
        raise PeerError(msg, hint="check that openbao_address is an OpenBao server and not a proxy in front of it")
    return document


def whole_number(fields: Mapping[str, object], name: str) -> int:
    """Return a number that an answer tells, 0 where it tells none.

    Raises:
        PeerError: it is none, or larger than any version or number of seconds. It is not quoted.
    """
    digits = str(fields.get(name, 0))
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
        msg = f"OpenBao answers with a {name} that is not a number"
        raise PeerError(msg, hint="check that openbao_address is an OpenBao server and not a proxy in front of it")
    return int(digits)


def mount_of(document: Mapping[str, object], path: str) -> Mount:
    """Read the answer of ``sys/internal/ui/mounts/PATH``.

    Raises:
        UndeliverableError: the mount is not a key-value engine.
        PeerError: the answer is not what the API promises.
    """
    data = _object(document.get("data"))
    mount, kind = data.get("path"), data.get("type")
    # Both are told, and recorded, for each reference to the path.
    if (
        not (isinstance(mount, str) and isinstance(kind, str))
        or len(mount) > len(path) + 1
        or len(kind) > _MAX_KIND_CHARS
    ):
        msg = "OpenBao does not say how this path is mounted"
        raise PeerError(msg, hint="is openbao_address that of OpenBao itself, of a version that is supported?")
    if kind not in {"kv", "generic"}:
        msg = f"{mount} is an engine of type {kind!r}; only key-value engines hold secrets that can be referred to"
        raise UndeliverableError(msg, hint=f"refer to a kv mount instead of {path}")
    options = data.get("options")
    versioned = isinstance(options, dict) and options.get("version") == "2"
    return Mount(path=mount, version=2 if versioned else 1)


def reading_of_v1(status: int, document: Mapping[str, object], path: str) -> Reading:
    """Read the answer of a version 1 engine.

    Raises:
        NotFoundError: there is no secret at ``path``.
    """
    data = document.get("data")
    if status == HTTPStatus.NOT_FOUND or not isinstance(data, dict):
        raise no_secret_at(path)
    return Reading(version=0, data=data)


def no_secret_at(path: str) -> NotFoundError:
    """Return the error of a path without a secret."""
    hint = "store it with `bao kv put`; paths are written as `bao kv get` takes them, without data/"
    return NotFoundError(f"there is no secret at {path}", hint=hint)


def reading_of_v2(status: int, document: Mapping[str, object], path: str, version: int) -> Reading:
    """Read the answer of a version 2 engine.

    Args:
        status: of the answer, 200 or 404.
        document: the answer.
        path: of the secret, for messages.
        version: that was asked for, 0 for the newest.

    Raises:
        NotFoundError: there is no such secret or version, or the version was deleted or destroyed.
    """
    outer = _object(document.get("data"))
    metadata = _object(outer.get("metadata"))
    found = whole_number(metadata, "version")
    data = outer.get("data")
    if status != HTTPStatus.NOT_FOUND and isinstance(data, dict):
        return Reading(version=found, data=data)
    if metadata.get("destroyed") is True:
        msg = f"version {found} of {path} was destroyed"
        raise NotFoundError(msg, hint="a destroyed version cannot be had back: refer to another one, or to the newest")
    if metadata.get("deletion_time"):
        msg = f"version {found} of {path} was deleted"
        raise NotFoundError(msg, hint="undelete it, if it is still what it should be, or store a new version")
    msg = f"there is no version {version} of {path}" if version else f"there is no secret at {path}"
    raise NotFoundError(msg, hint="store it with `bao kv put`, or say ?optional or ?default=TEXT")


def keep_keys(document: Mapping[str, object], mount: Mount, *, keys: frozenset[str] | None) -> Mapping[str, object]:
    """Return the answer of an engine with only some keys of its secret, or with all for None, their values as texts.

    Many small objects, as JSON can have them, take up to 30 times the bytes of their text.
    """
    data = document.get("data")
    if not isinstance(data, dict):
        return document
    if mount.version == 1:
        return {**document, "data": _kept(data, keys)}
    inner = data.get("data")
    return {**document, "data": {**data, "data": _kept(inner, keys)}} if isinstance(inner, dict) else document


def _kept(data: Mapping[str, object], keys: frozenset[str] | None) -> dict[str, str | None]:
    return {key: _text(value) for key, value in data.items() if keys is None or key in keys}


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    try:
        return compact_json(value)
    except RecursionError:
        return _NO_TEXT


def value_bytes(value: object, *, as_file: bool = False) -> bytes | None:
    """Return the bytes of a value: a string as UTF-8, anything else as compact JSON; None for null.

    Args:
        value: as JSON has it.
        as_file: whether it becomes a file, which may hold NUL bytes, and not a variable.

    Raises:
        UndeliverableError: it is half of a surrogate pair, which UTF-8 cannot hold, or a variable with a NUL byte.
    """
    if value is None:
        return None
    try:
        text = value if isinstance(value, str) else compact_json(value)
        encoded = text.encode()
    except (UnicodeEncodeError, RecursionError):
        if as_file:
            msg = "the value is not UTF-8 and cannot be a file"
            raise UndeliverableError(
                msg, hint="store it as base64, and refer to it with file(decode=base64):"
            ) from None
        encoded = b"\0"
    if 0 in encoded and not as_file:
        msg = "the value is binary (a NUL byte or not UTF-8) and cannot be a variable"
        raise UndeliverableError(msg, hint="store it as base64, and take it as a file with file(decode=base64):")
    return encoded


def decode_base64(value: bytes) -> bytes:
    """Decode base64 with its padding (RFC 4648, section 4); white space, which tools break lines with, is left out.

    Raises:
        UndeliverableError: it is something else.
    """
    compact = value.translate(None, _WHITE_SPACE)
    try:
        if len(compact) % 4:  # CPython lets one = too many pass
            raise ValueError  # noqa: TRY301
        return base64.b64decode(compact, validate=True)
    except ValueError:
        msg = "the value is not base64"
        raise UndeliverableError(msg, hint="store what `base64` prints, or leave decode=base64 out") from None


def compact_json(value: object) -> str:
    """Write a JSON value without spaces, its members in their order, its numbers as they were read."""
    pieces: list[str] = []  # joined once: each level that joins its own would copy all that is in it
    _write(value, pieces)
    return "".join(pieces)


def _write(value: object, pieces: list[str]) -> None:
    if isinstance(value, dict):
        pieces.append("{")
        for place, (name, item) in enumerate(value.items()):
            pieces += (",", _quote(name), ":") if place else (_quote(name), ":")
            _write(item, pieces)
        pieces.append("}")
    elif isinstance(value, list):
        pieces.append("[")
        for place, item in enumerate(value):
            if place:
                pieces.append(",")
            _write(item, pieces)
        pieces.append("]")
    else:
        pieces.append(value if isinstance(value, RawNumber) else _quote(value))


def _quote(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
