"""References to secrets, as they are in environment variables.

    NAME=bao:kv/shop/db#password                  newest version
    NAME=bao:kv/shop/db#password#3                version 3
    NAME=bao:kv/shop/db#password?optional         left out when there is no such secret
    NAME=bao:kv/shop/db#password?default=none     this text when there is no such secret
    NAME=bao:kv/shop/db#password|url              encoded for a URL; also |json, |base64 and |shell
    NAME=bao:kv/shop/My%20App#why%3F              characters that mean something here are percent-encoded

``vault:`` is an alias of ``bao:``. A path is written as ``bao kv get`` takes it, without ``/data/``. What else a value
may hold is the business of ``strongroom/launch/value.py``.

Pure text handling; whether a path may be read is the bridge's business. Both sides check with this module, so what the
bridge decides on is what the wrapper wrote. A ``Reference`` holds path and key as OpenBao has them; only their spelling
in a string is encoded.
"""

from strongroom.errors import ConfigError

SCHEMES = ("bao:", "vault:")
MAX_PATH_CHARS = 1024
MAX_KEY_CHARS = 512
MAX_VERSION = (1 << 63) - 1  # what OpenBao, written in Go, can hold in an int

LITERAL = "literal:"  # in front of a value that is not a reference, whatever it looks like
# Within a string. Shells and Compose take the first for a variable of their own; the second means nothing to them.
OPENS = ("${", "@{")

# How the bridge encodes a value for the place where it stands (``strongroom/launch/filters.py``).
FILTERS = ("url", "json", "base64", "shell")

# What has to be percent-encoded in a string, because it means something to this grammar, to a URL, to a policy glob or
# to a shell. Anyone who reads the reference then sees that there is more to it.
_SPELLED_IN_PATH = frozenset(" ?#%\\*{}[]\"'<>|^`")
_SPELLED_IN_KEY = frozenset("#?{}%|")
_HEX = frozenset("0123456789abcdefABCDEF")
_NO_SEGMENTS = frozenset({"", ".", ".."})
_LISTED_FILTERS = "|" + ", |".join(FILTERS)
_FILTER_ENDS = tuple("|" + name for name in FILTERS)
_FILTER_FIRST = "a filter is in front of the question mark: bao:PATH#KEY|url?default=TEXT"
_MAX_SHOWN_CHARS = 200  # of a text that is not a reference, in messages
_OR_LITERAL = "if this is a value of another program, write literal: in front of it"

# No regular expressions here: compiling them at import would cost every launch 3 ms.


class Reference:
    """One secret: a path, a key in it, optionally a version, and what to do when it does not exist.

    Attributes:
        path: mount and path, without leading or trailing slash.
        key: name of the field.
        version: version of a KV v2 secret from 1; 0 means the newest.
        optional: a missing secret is not an error. It never covers a denial.
        default: text to use when the secret is missing, or None. A default implies ``optional``.
        filter_name: one of FILTERS, or "" for the value as it is. A default is never filtered.
    """

    __slots__ = ("default", "filter_name", "key", "optional", "path", "version")

    # Plain fields: this class does by hand what a dataclass would, because importing dataclasses costs the
    # launch more time than the TLS handshake.
    def __init__(  # noqa: PLR0913 - one for each part of its grammar
        self,
        path: str,
        key: str,
        *,
        version: int = 0,
        optional: bool = False,
        default: str | None = None,
        filter_name: str = "",
    ) -> None:
        """Check every field.

        Raises:
            ConfigError: path, key, version or filter is not legal, or the default is itself a reference.
        """
        self.path = check_path(path)
        self.key = _check_key(key, path)
        if not 0 <= version <= MAX_VERSION:
            msg = f"{path}#{key}: the version is not one; versions count from 1"
            raise ConfigError(msg, hint="write #1 or more behind the key, or leave the version out for the newest")
        if default is not None and (default.startswith(LITERAL) or holds_reference(default)):
            # It would be handed out as it stands, and no reference may ever reach an application.
            msg = f"{path}#{key}: its default is a reference, or begins with {LITERAL}; a default is a string as it is"
            raise ConfigError(msg, hint="only one secret can be meant: leave the default out, or write a plain text")
        if filter_name and filter_name not in FILTERS:
            msg = f"{path}#{key}: there is no filter {filter_name[:20]!r}"
            raise ConfigError(msg, hint=f"the filters are {_LISTED_FILTERS}; a | in a key is written %7C")
        self.version = version
        self.optional = optional or default is not None
        self.default = default
        self.filter_name = filter_name

    def __str__(self) -> str:
        """Return ``path#key``, with version and filter if it has them, as it is spelled in a string."""
        version = f"#{self.version}" if self.version else ""
        filtered = f"|{self.filter_name}" if self.filter_name else ""
        return f"{spell_path(self.path)}#{spell_key(self.key)}{version}{filtered}"

    def __repr__(self) -> str:
        """Return the reference without its default, which may be private."""
        return f"Reference({str(self)!r}, optional={self.optional})"

    def __eq__(self, other: object) -> bool:
        """Compare all fields."""
        return isinstance(other, Reference) and self._fields() == other._fields()

    def __hash__(self) -> int:
        """Hash all fields."""
        return hash(self._fields())

    def _fields(self) -> tuple[object, ...]:
        return (self.path, self.key, self.version, self.optional, self.default, self.filter_name)


def check_path(path: str) -> str:
    """Return ``path`` if it is a canonical secret path.

    Raises:
        ConfigError: it is empty, too long, has an empty, ``.`` or ``..`` segment, or a character that does not print.
            Or it has what somebody on the way could make another path of: a percent sign with two hexadecimal digits
            behind it, or a backslash.
    """
    if not path or len(path) > MAX_PATH_CHARS:
        msg = f"secret path {path[:40]!r}: must have 1 to {MAX_PATH_CHARS} characters"
        raise ConfigError(msg, hint="write MOUNT/PATH, for example kv/shop/db")
    if not path.isprintable():
        msg = f"secret path {path!r}: characters that do not print are not allowed"
        raise ConfigError(msg, hint="look for a tab, a line end or an invisible character in the value")
    if "\\" in path or any(_HEX.issuperset(rest[:2]) and len(rest) > 1 for rest in path.split("%")[1:]):
        msg = f"secret path {path!r}: a proxy could make another path of a backslash, or of % and two digits"
        raise ConfigError(msg, hint="in a policy, write the character itself; a secret with such a name needs another")
    segments = path.split("/")
    if not _NO_SEGMENTS.isdisjoint(segments):
        msg = f"secret path {path!r}: empty, '.' and '..' segments and slashes at the ends are not allowed"
        raise ConfigError(msg, hint="write MOUNT/PATH, for example kv/shop/db")
    if len(segments) < 2:  # noqa: PLR2004 - a mount and at least one name
        raise ConfigError(f"secret path {path!r}: has no mount", hint="write MOUNT/PATH, for example kv/shop/db")
    return path


def _check_key(key: str, path: str) -> str:
    if not key or len(key) > MAX_KEY_CHARS or not key.isprintable():
        msg = f"{path}: key {key[:40]!r}: must have 1 to {MAX_KEY_CHARS} printable characters"
        raise ConfigError(msg, hint="write bao:PATH#KEY")
    return key


def spell_path(path: str) -> str:
    """Return a path as it is written in a reference."""
    return _encode(path, _SPELLED_IN_PATH)


def spell_key(key: str) -> str:
    """Return a key as it is written in a reference."""
    return _encode(key, _SPELLED_IN_KEY)


def _encode(text: str, special: frozenset[str]) -> str:
    if special.isdisjoint(text):
        return text
    return "".join(f"%{ord(char):02X}" if char in special else char for char in text)  # all of them are ASCII


def _decode(text: str, special: frozenset[str], shown: str) -> str:
    """Return what a path or key spells (RFC 3986, 2.1).

    Raises:
        ConfigError: a character that must be encoded is not, or a percent sign stands for none.
    """
    bare = special - {"%"}
    if not bare.isdisjoint(text):
        char = next(char for char in text if char in bare)
        msg = f"{shown!r}: {char!r} must be percent-encoded here"
        raise ConfigError(msg, hint=f"write %{ord(char):02X} in its place")
    if "%" not in text:
        return text
    first, *rest = text.split("%")
    try:
        if not all(_HEX.issuperset(part[:2]) and len(part) > 1 for part in rest):
            raise ValueError  # noqa: TRY301
        decoded = first.encode() + b"".join(bytes.fromhex(part[:2]) + part[2:].encode() for part in rest)
        return decoded.decode()
    except ValueError:  # a UnicodeError is one
        msg = f"{shown!r}: a percent sign stands for a character, and has its two hexadecimal digits behind it"
        raise ConfigError(msg, hint="write %25 for the percent sign itself") from None


def decode_spelled(text: str, shown: str) -> str:
    """Return what a percent-encoded text spells.

    Raises:
        ConfigError: a percent sign stands for no character.
    """
    return _decode(text, frozenset(), shown)


def _decode_path(text: str, shown: str) -> str:
    path = _decode(text, _SPELLED_IN_PATH, shown)
    if path.count("/") != text.count("/"):
        msg = f"{shown!r}: a slash divides a path and cannot be encoded"
        raise ConfigError(msg, hint="no name in OpenBao has a slash in it; write / between the parts of a path")
    return path


def is_env_name(name: str) -> bool:
    """Return whether ``name`` can be an environment variable that shells, too, can read (POSIX XBD, 8.1)."""
    return name.isascii() and name.isidentifier()  # together exactly [A-Za-z_][A-Za-z0-9_]*


def holds_reference(text: str) -> bool:
    """Return whether ``parse_value`` would look for a reference in a string, well formed or not."""
    if text.startswith(LITERAL):
        return False
    return text.startswith(SCHEMES) or any(mark + scheme in text for mark in OPENS for scheme in SCHEMES)


def _strip_scheme(text: str) -> str | None:
    for scheme in SCHEMES:
        if text.startswith(scheme):
            return text[len(scheme) :]
    return None


def _split_options(body: str, whole: str) -> tuple[str, bool, str | None]:
    target, mark, option = body.partition("?")
    if not mark:
        return target, False, None
    if option == "optional":
        return target, True, None
    if option.startswith("default="):
        default = option.removeprefix("default=")
        if default.endswith(_FILTER_ENDS):  # the value would go on without its filter
            raise ConfigError(f"{whole!r}: its default ends like a filter", hint=_FILTER_FIRST)
        return target, True, default
    # No more than its leading letters: a mistyped default= would show its text.
    name = next((option[:i] for i, char in enumerate(option) if not (char.isascii() and char.isalpha())), option)
    msg = f"{whole!r}: unknown option {name!r}"
    hint = "the options are ?optional and ?default=TEXT, in small letters; a ? in a path or key is written %3F"
    raise ConfigError(msg, hint=_FILTER_FIRST if option.startswith("optional|") else hint)


def parse_reference(text: str) -> Reference:
    """Parse ``bao:PATH#KEY[#VERSION][|FILTER][?optional]``, with ``?default=TEXT`` instead of ``?optional``.

    Raises:
        ConfigError: ``text`` is not such a reference; the message says what is wrong.
    """
    shown = text[:_MAX_SHOWN_CHARS].partition("?")[0]  # never the default behind it, which may be private
    body = _strip_scheme(text)
    if body is None:
        msg = f"{shown!r}: does not begin with bao: or vault:"
        raise ConfigError(msg, hint="write bao:MOUNT/PATH#KEY, or literal:TEXT for a text that only looks like it")
    if any(mark in text.partition("?")[0] for mark in OPENS):
        msg = f"{shown!r}: a reference cannot have another one in it"
        scheme = text.partition(":")[0]
        raise ConfigError(msg, hint=f"for a text that begins with {scheme}: write ${{literal:{scheme}:}} there")
    if body.startswith("/"):
        msg = f"{shown!r}: a path does not begin with a slash"
        raise ConfigError(msg, hint=f"write bao:{body.partition('?')[0].lstrip('/')[:200]}; {_OR_LITERAL}")
    target, optional, default = _split_options(body, shown)
    path, mark, rest = target.partition("#")
    if not mark:
        msg = f"{shown!r}: has no key"
        raise ConfigError(
            msg, hint=f"write bao:PATH#KEY; a whole path is taken with STRONGROOM_FROM_PATH; {_OR_LITERAL}"
        )
    rest, piped, filter_name = rest.partition("|")
    if piped and not filter_name:
        msg = f"{shown!r}: there is no filter behind the |"
        raise ConfigError(msg, hint=f"the filters are {_LISTED_FILTERS}; a | in a key is written %7C")
    key, mark, version_text = rest.partition("#")
    version = 0
    if mark:
        legal = version_text.isascii() and version_text.isdigit() and len(version_text) < 20  # noqa: PLR2004 - 2^63
        if not (legal and int(version_text)):
            msg = f"{shown[:100]!r}: version {version_text[:20]!r} is not a positive number"
            hint = "write bao:PATH#KEY#VERSION, or leave the version out for the newest; a # in a key is written %23"
            raise ConfigError(msg, hint=hint)
        version = int(version_text)
    key = _decode(key, _SPELLED_IN_KEY, shown)
    path = _decode_path(path, shown)
    return Reference(path, key, version=version, optional=optional, default=default, filter_name=filter_name)


def parse_path_reference(text: str) -> tuple[str, bool]:
    """Parse ``bao:PATH[?optional]``, a whole path; returns the path and whether it may be missing.

    Raises:
        ConfigError: ``text`` is not such a reference.
    """
    shown = text[:_MAX_SHOWN_CHARS].partition("?")[0]
    body = _strip_scheme(text)
    if body is None:
        msg = f"{shown!r}: does not begin with bao: or vault:"
        raise ConfigError(msg, hint="write bao:MOUNT/PATH, for example bao:kv/shop/env, without quotes around it")
    path, optional, default = _split_options(body, shown)
    if "#" in path or default is not None:
        msg = f"{shown!r}: a whole path takes neither a key nor a default"
        raise ConfigError(
            msg, hint="write bao:PATH, or bao:PATH?OPTION&OPTION, for example bao:PATH?optional&names=skip"
        )
    return check_path(_decode_path(path, shown)), optional
