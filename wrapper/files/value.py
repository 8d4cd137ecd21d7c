"""Values that are to be delivered as files: ``file:VALUE`` and ``file(OPTIONS):VALUE``. Pure; see docs/operations.md.

``VALUE`` is what could stand there without it: a whole reference, or a string with references. Values that hold no
reference are left alone, so ``file:///etc/hosts`` stays what it is.
"""

from strongroom.errors import ConfigError
from strongroom.launch.reference import LITERAL, holds_reference

OPTIONS = ("path", "mode", "owner", "decode", "template")
DEFAULT_MODE = 0o400

_MAX_MODE = 0o777
_MAX_MODE_CHARS = 4
_MAX_ID_CHARS = 10
_MAX_ID = (1 << 32) - 2  # 2^32-1 means "leave it" to chown(2)
_OCTAL = frozenset("01234567")


class FileTarget:
    """Where a file goes, and what it is made from.

    Attributes:
        path: absolute, or "" for one without a name, which is reached through its descriptor.
        mode: permission bits.
        uid: owner; -1 for the wrapper's own.
        gid: group; -1 for the wrapper's own.
        decode: whether what the references give is base64.
        kept: path of the file that a launch has put in place already, for ``strongroom exec``; "" otherwise.
        template: path of a file with the text that holds the references, or "".
    """

    __slots__ = ("decode", "gid", "kept", "mode", "path", "template", "uid")

    def __init__(self) -> None:
        """Take the defaults."""
        self.path = ""
        self.mode = DEFAULT_MODE
        self.uid = -1
        self.gid = -1
        self.decode = False
        self.kept = ""
        self.template = ""

    def keep(self) -> None:
        """Have a file of this process's own take the place of the one that is there, if they differ."""
        self.kept, self.path = self.path, ""
        self.uid = self.gid = -1


def split_file_value(value: str) -> tuple[FileTarget, str] | None:
    """Split a value with ``file:`` or ``file(`` in front of it into where the file goes and the text behind.

    Returns:
        None when the value is not of this kind: there is no reference, and no template, in it.

    Raises:
        ConfigError: an option is unknown or breaks its rule.
    """
    if value.startswith("file:"):
        text = value.removeprefix("file:")
        _refuse_literal(text)
        return (FileTarget(), text) if holds_reference(text) else None
    options, closed, rest = value.removeprefix("file(").partition(")")
    text = rest.removeprefix(":")
    _refuse_literal(text)
    if not holds_reference(text) and not _has_template(options):
        return None
    if not closed or not rest.startswith(":"):
        msg = "there is no colon after file(...)" if closed else "the bracket of file(... is not closed"
        raise ConfigError(msg, hint="write file(OPTIONS):REFERENCE, or file(OPTIONS):TEXT with ${bao:PATH#KEY} in it")
    target = _parse_options(options)
    if target.template and text:
        msg = "there is a string behind file(template=...):"
        raise ConfigError(msg, hint="leave it out; the template holds the text")
    return target, text


def _has_template(options: str) -> bool:
    return any(option.startswith("template=") for option in options.split(","))


def _refuse_literal(text: str) -> None:
    """Refuse references behind ``literal:``: where no file is made of them, they would be resolved into a variable.

    Raises:
        ConfigError: there are some.
    """
    if text.startswith(LITERAL) and holds_reference(text.removeprefix(LITERAL)):
        msg = "a file whose text is literal: holds no reference"
        raise ConfigError(msg, hint="for the value itself write literal:file:...; in a string, ${literal:TEXT}")


def _parse_options(text: str) -> FileTarget:
    target = FileTarget()
    seen: set[str] = set()
    for option in text.split(",") if text else ():
        name, equals, value = option.partition("=")
        if name not in OPTIONS or not equals or name in seen:
            what = "is given twice" if name in seen else "is unknown"
            msg = f"file option {option[:40]!r} {what}"
            raise ConfigError(msg, hint=f"the options are {'=, '.join(OPTIONS)}=; none may hold a comma or )")
        seen.add(name)
        if name == "mode":
            target.mode = _mode(value)
        elif name == "owner":
            target.uid, target.gid = _owner(value)
        elif name == "decode":
            if value != "base64":
                msg = f"decode={value[:40]}: must be base64"
                raise ConfigError(msg, hint="leave decode out for a value that is not encoded")
            target.decode = True
        else:
            setattr(target, name, _path(name, value))
    return target


def _path(name: str, value: str) -> str:
    segments = value.split("/")
    if segments[0] or len(segments) < 2 or not {"", ".", ".."}.isdisjoint(segments[1:]) or not value.isprintable():  # noqa: PLR2004
        msg = f"{name}={value!r}: must be an absolute path without empty, '.' and '..' segments"
        raise ConfigError(msg, hint="write it as it is in the container, for example /run/app/db.ini")
    return value


def _mode(value: str) -> int:
    if not value or len(value) > _MAX_MODE_CHARS or not _OCTAL.issuperset(value) or int(value, 8) > _MAX_MODE:
        raise ConfigError(f"mode={value[:40]}: must be octal, 0 to 0777", hint="write for example mode=0440")
    return int(value, 8)


def _owner(value: str) -> tuple[int, int]:
    uid, colon, gid = value.partition(":")
    return _number(uid, value), _number(gid, value) if colon else -1


def _number(text: str, whole: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_ID_CHARS and int(text) <= _MAX_ID):
        msg = f"owner={whole[:40]}: must be UID or UID:GID, as numbers"
        raise ConfigError(msg, hint="`id -u NAME` and `id -g NAME` tell the numbers")
    return int(text)
