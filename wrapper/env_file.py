r"""Files with variables: ``--env-file FILE``. Imported only where one is named.

    # a comment; blank lines are left out, too
    PLAIN=value                                     as it stands, up to the end of the line
    DB_PASSWORD=bao:kv/shop/db#password
    export URL='postgres://shop:@{bao:kv/shop/db#password|url}@db'
    LINES="first\nsecond"                           with \n \r \t \\ \" and \$ in double quotes; none in single quotes

One variable a line; nothing is expanded. Such files are written for shells, Docker, Compose and dotenv, which read some
lines differently: blanks around the value, a comment behind it, a quote that is not closed. Those are refused by their
line, and never guessed. No message shows anything of a value.
"""

import os
import stat

from strongroom.errors import ConfigError
from strongroom.names import PREFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

MAX_FILE_BYTES = 1 << 20
_NAME_CHARS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$"}
_BLANKS = " \t"

# What has been read, or handed over, before these files are.
_TOO_LATE = frozenset(
    PREFIX + name
    for name in (
        "ENV_FILE", "PADDING", "REGION", "REMAP", "SIGNAL_GROUP", "STOP_SIGNAL", "STOP_TIMEOUT", "SUPERVISE"
    )
)  # fmt: skip


def read_env_files(paths: str, environ: dict[str, str], folder: str) -> dict[str, str]:
    """Return an environment with the variables of files, for those that it does not have itself.

    Args:
        paths: of the files, with commas between them; a later file goes before an earlier one.
        environ: the environment, which goes before all files.
        folder: where relative paths begin.

    Raises:
        ConfigError: a file cannot be read, or a line of it is not clear.
    """
    found: dict[str, str] = {}
    for path in paths.split(","):
        found.update(parse_env_file(_read(path, folder), path))
    # The very bytes of the file, whatever the locale takes them for.
    return environ | {name: os.fsdecode(value.encode()) for name, value in found.items() if name not in environ}


def _read(path: str, folder: str) -> str:
    try:
        descriptor = os.open(os.path.join(folder, path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                msg = f"env file {path}: is not a regular file"
                raise ConfigError(msg, hint="a pipe could be waited for without end; write its content to a file")
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) <= MAX_FILE_BYTES:
            return content.decode()
        reason = f"is longer than {MAX_FILE_BYTES} bytes"
    except OSError as error:
        reason = error.strerror or "cannot be read"
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        reason = f"line {number} is not UTF-8"
    msg = f"env file {path}: {reason}"
    raise ConfigError(msg, hint="name text files that this user may read; a comma stands between two of them")


def parse_env_file(content: str, path: str) -> dict[str, str]:
    """Return the variables of a file; of two lines with one name the later counts.

    Raises:
        ConfigError: a line is not clear; the message names the line and its rule, and nothing of a value.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(content.removeprefix("\ufeff").split("\n"), 1):
        text = line.removesuffix("\r").lstrip(_BLANKS)
        if text and not text.startswith("#"):
            name, value = _parse_line(text, f"env file {path}, line {number}")
            found[name] = value
    return found


def _parse_line(text: str, place: str) -> tuple[str, str]:
    word, blank, rest = text.partition(" ")
    if word == "export" and blank:
        text = rest.lstrip(_BLANKS)
    name, equals, value = text.partition("=")
    if not equals:
        _refuse(f"{place}: is not NAME=VALUE", "variables of the environment go on by themselves; a value has one line")
    if name != name.rstrip(_BLANKS):
        _refuse(f"{place}: there is a blank in front of the equals sign", "write NAME=VALUE")
    if not name or not _NAME_CHARS.issuperset(name) or name[0] in "0123456789.-":
        _refuse(f"{place}: does not begin with the name of a variable", "write NAME=VALUE; a value has one line")
    if name in _TOO_LATE:
        _refuse(f"{place}: {name} is read before this file is", "set it in the environment, or give it as an option")
    if "\0" in value:
        _refuse(f"{place}: {name}: has a NUL byte", "no variable can hold one")
    return name, _parse_value(value, f"{place}: {name}")


def _parse_value(value: str, place: str) -> str:
    if value[:1] in {"'", '"'}:
        return _unquote(value, place)
    if value[:1] == "`":
        _refuse(f"{place}: begins with a backquote", "quotes are ' and \"; put a backquote itself in single quotes")
    if value != value.strip(_BLANKS):
        _refuse(f"{place}: there is a blank at an end of the value", "remove it, or put the value in quotes")
    if " #" in value or "\t#" in value:
        hint = "some programs take what follows for a comment: put the value in quotes, or the comment on its own line"
        _refuse(f"{place}: there is a # behind a blank", hint)
    return value


def _unquote(value: str, place: str) -> str:
    quote, result, at = value[0], "", 1
    while at < len(value) and value[at] != quote:
        if value[at] == "\\" and quote == '"':
            char = _ESCAPES.get(value[at + 1 : at + 2])
            if char is None:
                rule = 'a backslash in double quotes is followed by none of n r t \\ " $'
                _refuse(f"{place}: {rule}", "write \\\\ for a backslash, or single quotes around the value")
            result += char
            at += 2
        else:
            result += value[at]
            at += 1
    if at >= len(value):
        hint = "close it on the same line, with \\n in double quotes for a line break; or have a file made (file:)"
        _refuse(f"{place}: the quote is not closed", hint)
    rest = value[at + 1 :]
    if rest.strip(_BLANKS) and not (rest[0] in _BLANKS and rest.lstrip(_BLANKS).startswith("#")):
        _refuse(f"{place}: something stands behind the closing quote", "put the whole value in one pair of quotes")
    return result


def _refuse(message: str, hint: str) -> "NoReturn":
    raise ConfigError(message, hint=hint)
