"""What was probably meant as a reference and is none: the application would get it as its password.

By env files and YAML that keep quotes, by hand, by habit from other clients (``>>vault:`` is that of bank-vaults), with
the braces of other languages. Texts that only mention a reference are left alone: what is refused stands at the
beginning of a value, behind nothing but signs, or behind an opening brace. Pure; imported only where a value has a
number sign.
"""

from strongroom.errors import ConfigError
from strongroom.launch.reference import MAX_KEY_CHARS, MAX_PATH_CHARS, OPENS, SCHEMES

LONGEST = MAX_PATH_CHARS + MAX_KEY_CHARS + 64  # of a reference, without its default

_LIKE_SCHEMES = ("openbao:", "bao:", "vault:")  # the longest of one ending first
_LONGEST_FRONT = 32  # characters, of signs in front of a whole value
_LONGEST_OPTIONS = 512  # characters, of file(...)
_SIGNS_AT_A_BRACE = " \t\r\n\u00a0\u200b\ufeff\"'`>$@%#({<"
_ENDS = "?}> )\"'`\t\r\n"  # nothing behind these is shown: it could be private
_CLOSING = {"(": ")", "[": "]", "{": "}"}

_HINT = (
    "write bao:PATH#KEY, or ${bao:PATH#KEY} or @{bao:PATH#KEY} in a string; or literal:TEXT, in a string "
    "${literal:TEXT}, if none is meant"
)


def refuse_near_miss(text: str, *, is_start: bool = True) -> None:
    """Refuse what is not a reference but for its first characters.

    Args:
        text: a value, or a piece of one between its references.
        is_start: whether it is the beginning of the value.

    Raises:
        ConfigError: there is one in it.
    """
    at = 0
    while (colon := text.find(":", at)) >= 0:
        at = colon + 1
        word = text[max(colon - len("openbao") - 1, 0) : at].lower()
        scheme = next((scheme for scheme in _LIKE_SCHEMES if word.endswith(scheme)), "")
        if not scheme or not _goes_on_like_one(text, at):
            continue
        start = at - len(scheme)
        front = text[:start] if start <= _LONGEST_OPTIONS else ""
        signs = _signs_before(text, start)
        if is_start and start <= _LONGEST_FRONT and not _has_letters(front):
            _refuse_unless_one(text, start, front, scheme)
        elif is_start and _is_like_file(front):
            _refuse(text, 0, start, "file options are written file(OPTIONS):REFERENCE, and file: in small letters")
        elif _opens(signs):
            _refuse_unless_one(text, start, signs, scheme)


def _goes_on_like_one(text: str, at: int) -> bool:
    path, mark, _ = text[at : at + LONGEST].partition("#")
    return bool(mark) and "/" in path and " " not in path and "}" not in path


def _has_letters(text: str) -> bool:
    return any(char.isalnum() for char in text)


def _signs_before(text: str, start: int) -> str:
    near = text[max(start - _LONGEST_FRONT, 0) : start]
    return near[len(near.rstrip(_SIGNS_AT_A_BRACE)) :]


def _opens(signs: str) -> bool:
    return "{" in signs or "<" in signs or "$(" in signs or signs.endswith("$")


def _is_like_file(front: str) -> bool:
    """Return whether only file options are in a string, however they are written."""
    first = next((i for i, char in enumerate(front) if char.isalnum()), 0)
    if front[first : first + 4].lower() != "file":
        return False
    rest = front[first + 4 :].lstrip()
    if rest[:1] in _CLOSING:
        rest = rest.partition(_CLOSING[rest[0]])[2]
    return not _has_letters(rest)


def _refuse_unless_one(text: str, start: int, signs: str, scheme: str) -> None:
    spelled = text[start : start + len(scheme)]
    if spelled in SCHEMES and (not signs or signs.endswith(OPENS)):
        return  # a reference, or somebody else's value that only looks like one
    begin = start - len(signs)
    if spelled != spelled.lower():
        _refuse(text, begin, start, "the scheme is in capitals")
    elif spelled not in SCHEMES:
        _refuse(text, begin, start, f"{spelled} is not a scheme")
    else:
        _refuse(text, begin, start, f"there is {signs[:10]!r} in front")


def _refuse(text: str, begin: int, start: int, reason: str) -> None:
    target = text[start : start + 100]
    end = next((i for i, char in enumerate(target) if char in _ENDS), len(target))
    raise ConfigError(f"{text[begin:start] + target[:end]!r}: looks like a reference and is none: {reason}", hint=_HINT)
