"""What the value of a variable may hold: references, texts around them, and what only looks like a reference.

    NAME=bao:kv/shop/db#password                                a reference
    NAME=postgres://app:${bao:kv/shop/db#password|url}@db/shop  several may appear in one text
    NAME=postgres://app:@{bao:kv/shop/db#password|url}@db/shop  the same, where something else resolves ${...}
    NAME=literal:vault://secret/app                             whatever is behind literal: as it is
    NAME=${literal:file:}./dev.db?key=${bao:kv/shop/db#key}     the same inside a string
    NAME=file:bao:kv/shop/tls#key                               a file (``wrapper/files/value.py``)

Other clients of Vault have their own values that begin with ``vault:``; those that can only be theirs are left alone.
What was probably meant as a reference and is none is refused: the application would get the reference as its password.
"""

from strongroom.errors import ConfigError
from strongroom.launch.reference import (
    LITERAL,
    MAX_KEY_CHARS,
    MAX_PATH_CHARS,
    OPENS,
    SCHEMES,
    Reference,
    parse_reference,
)

_CLOSE = "}"
_KINDS = (*SCHEMES, LITERAL)
_LONGEST = MAX_PATH_CHARS + MAX_KEY_CHARS + 64  # of a reference, without its default
_OPEN_CHARS = 2  # of each of OPENS, which end in the same brace


def parse_value(value: str) -> list[str | Reference]:
    """Split the value of a variable into texts and references; a value without references comes back as one text.

    Raises:
        ConfigError: a reference in it is malformed or not closed, or something in it was probably meant as one.
    """
    if value.startswith(LITERAL):
        return [value[len(LITERAL) :]]
    if value.startswith(SCHEMES) and _is_meant(value):
        return [parse_reference(value)]
    if "{" not in value:
        _refuse_near_miss(value)
        return [value]
    return _split(value)


def _split(value: str) -> list[str | Reference]:
    parts: list[str | Reference] = []
    text = ""
    at = seen = 0  # how far it is taken into parts and text, and how far it is looked through
    while (inside := value.find("{", seen) + 1) > 0:
        seen = inside
        start = inside - _OPEN_CHARS
        if start < at or not value.startswith(OPENS, start):
            continue
        kind = next((kind for kind in _KINDS if value.startswith(kind, inside)), None)
        if kind is None or _is_of_another_client(_inside_braces(value, inside)):
            continue  # a ${...} of somebody else
        end = _closing(value, inside)
        if end < 0:
            msg = f"a {value[start:inside]}{kind}… is not closed"
            raise ConfigError(msg, hint="end it with }; braces within it come in pairs")
        _refuse_near_miss(value[at:start], is_start=not at)
        text += value[at:start]
        at = seen = end + len(_CLOSE)
        if kind == LITERAL:
            text += value[inside + len(LITERAL) : end]
            continue
        if text:
            parts.append(text)
            text = ""
        parts.append(parse_reference(value[inside:end]))
    _refuse_near_miss(value[at:], is_start=not at)
    text += value[at:]
    return [*parts, text] if text or not parts else parts


def _refuse_near_miss(text: str, *, is_start: bool = True) -> None:
    if "#" in text:
        from strongroom.launch.near_miss import refuse_near_miss  # noqa: PLC0415 - most launches do without

        refuse_near_miss(text, is_start=is_start)


def _inside_braces(value: str, start: int) -> str:
    """Return what stands before the closing brace, or "" where none is near: no longer than a reference can be.

    It ends where the reference would, so that all of it is looked at. Texts may have a million of these, so each look
    is short.
    """
    near = value[start : start + _LONGEST]
    inside, closed, _ = near.partition(_CLOSE)
    if closed and "{" in inside:
        inside = near[: max(_closing(near, 0), len(inside))]
    return inside if closed else ""


def _closing(value: str, start: int) -> int:
    """Return where the brace is that closes one opened before ``start``, or -1; those between come in pairs."""
    depth = 1
    at = start
    while (closing := value.find(_CLOSE, at)) >= 0:
        depth += value.count("{", at, closing) - 1
        if not depth:
            return closing
        at = closing + 1
    return -1


def _is_meant(value: str) -> bool:
    """Return whether a value that begins with a scheme is meant as a reference.

    A path has a slash and a key a number sign; ``vault:8200`` is an address. ``vault://secret/app`` (Spring) and
    ``vault:/var/lib/vault`` (a volume) have no key, and no path of ours begins with a slash.
    """
    if value.startswith("vault:/") and "#" not in value:
        return False
    return "/" in value or "#" in value


def _is_of_another_client(text: str) -> bool:
    """Return whether the text in ``${...}`` is ``PROVIDER:PATH:KEY``, as Kafka's configuration providers have it."""
    return text.startswith("vault:") and text.count(":") > 1 and "#" not in text and "?" not in text
