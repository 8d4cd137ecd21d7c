"""References to secrets, as they stand in environment variables.

    NAME=bao:kv/shop/db#password                  newest version
    NAME=bao:kv/shop/db#password#3                version 3
    NAME=bao:kv/shop/db#password?optional         left out when there is no such secret
    NAME=bao:kv/shop/db#password?default=none     this text when there is no such secret
    NAME=postgres://app:${bao:kv/shop/db#password}@db/shop      several may stand in one value
    NAME=file:bao:kv/shop/tls#key                 the same as a file (``wrapper/file_value.py``)

``vault:`` is an alias of ``bao:``. A path is written as ``bao kv get`` takes it, without ``/data/``.

Pure text handling; whether a path may be read is the bridge's business. Both sides parse with this module, so what the
bridge decides on is what the wrapper wrote.
"""

from strongroom.errors import ConfigError

SCHEMES = ("bao:", "vault:")
MAX_PATH_CHARS = 1024
MAX_KEY_CHARS = 512
MAX_VERSION = (1 << 63) - 1  # what OpenBao, written in Go, can hold in an int

_CONTROLS = frozenset(map(chr, range(0x20))) | {"\x7f"}
# Characters that mean something to a URL, to a policy glob or to this grammar. A path with one of them could name one
# thing to the policy and another to OpenBao, so none is let in.
_FORBIDDEN_IN_PATH = _CONTROLS | frozenset(" ?#%\\*{}[]\"'<>|^`")
_FORBIDDEN_IN_KEY = _CONTROLS | frozenset("#?{}")
_OPEN = "${"
_CLOSE = "}"

# No regular expressions here: compiling them at import would cost every launch 3 ms.


class Reference:
    """One secret: a path, a key in it, optionally a version, and what to do when it does not exist.

    Attributes:
        path: mount and path, without leading or trailing slash.
        key: name of the field.
        version: version of a KV v2 secret from 1; 0 means the newest.
        optional: a missing secret is no error. It never covers a denial.
        default: text to use when the secret is missing, or None. A default implies ``optional``.
    """

    __slots__ = ("default", "key", "optional", "path", "version")

    # Five plain fields: this class does by hand what a dataclass would, because importing dataclasses costs the
    # launch more time than the TLS handshake.
    def __init__(
        self, path: str, key: str, *, version: int = 0, optional: bool = False, default: str | None = None
    ) -> None:
        """Check every field.

        Raises:
            ConfigError: path, key or version is not legal, or the default is itself a reference.
        """
        self.path = check_path(path)
        self.key = _check_key(key, path)
        if not 0 <= version <= MAX_VERSION:
            msg = f"{path}#{key}: the version is not one; versions count from 1"
            raise ConfigError(msg)
        if default is not None and holds_reference(default):
            # It would be handed out as it stands, and no reference may ever reach an application.
            msg = f"{path}#{key}: its default is a reference; a default is a text"
            raise ConfigError(msg)
        self.version = version
        self.optional = optional or default is not None
        self.default = default

    def __str__(self) -> str:
        """Return ``path#key`` or ``path#key#version``, for messages."""
        return f"{self.path}#{self.key}" + (f"#{self.version}" if self.version else "")

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
        return (self.path, self.key, self.version, self.optional, self.default)


def check_path(path: str) -> str:
    """Return ``path`` if it is a canonical secret path.

    Raises:
        ConfigError: it is empty, too long, has an empty, ``.`` or ``..`` segment, or a forbidden character.
    """
    if not path or len(path) > MAX_PATH_CHARS:
        msg = f"secret path {path[:40]!r}: must have 1 to {MAX_PATH_CHARS} characters"
        raise ConfigError(msg)
    if not _FORBIDDEN_IN_PATH.isdisjoint(path) or not path.isprintable():
        msg = f"secret path {path!r}: spaces, unprintable characters and any of ?#%\\*{{}}[]\"'<>|^` are not allowed"
        raise ConfigError(msg)
    segments = path.split("/")
    if "" in segments or "." in segments or ".." in segments:
        msg = f"secret path {path!r}: empty, '.' and '..' segments and slashes at the ends are not allowed"
        raise ConfigError(msg, hint="write MOUNT/PATH, for example kv/shop/db")
    if len(segments) < 2:  # noqa: PLR2004 - a mount and at least one name
        msg = f"secret path {path!r}: has no mount"
        raise ConfigError(msg, hint="write MOUNT/PATH, for example kv/shop/db")
    return path


def _check_key(key: str, path: str) -> str:
    if not key or len(key) > MAX_KEY_CHARS or not _FORBIDDEN_IN_KEY.isdisjoint(key) or not key.isprintable():
        msg = f"{path}: key {key[:40]!r}: must have 1 to {MAX_KEY_CHARS} printable characters and none of #?{{}}"
        raise ConfigError(msg, hint="write bao:PATH#KEY")
    return key


def is_env_name(name: str) -> bool:
    """Say whether ``name`` can be an environment variable that shells, too, can read (POSIX XBD, 8.1)."""
    return name.isascii() and name.isidentifier()  # together exactly [A-Za-z_][A-Za-z0-9_]*


def holds_reference(text: str) -> bool:
    """Say whether ``parse_value`` would find a reference in a text, well formed or not."""
    return text.startswith(SCHEMES) or any(_OPEN + scheme in text for scheme in SCHEMES)


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
        return target, True, option.removeprefix("default=")
    # No more than its leading letters: a mistyped default= would show its text.
    name = next((option[:i] for i, char in enumerate(option) if not ("a" <= char <= "z")), option)
    msg = f"{whole!r}: unknown option {name!r}"
    raise ConfigError(msg, hint="the options are ?optional and ?default=TEXT")


def parse_reference(text: str) -> Reference:
    """Parse ``bao:PATH#KEY[#VERSION][?optional|?default=TEXT]``.

    Raises:
        ConfigError: ``text`` is not such a reference; the message says what is wrong.
    """
    shown = text.partition("?")[0]  # never the default behind it, which may be private
    body = _strip_scheme(text)
    if body is None:
        msg = f"{shown!r}: does not begin with bao: or vault:"
        raise ConfigError(msg)
    target, optional, default = _split_options(body, shown)
    path, mark, rest = target.partition("#")
    if not mark:
        msg = f"{shown!r}: has no key"
        raise ConfigError(msg, hint="write bao:PATH#KEY; a whole path is taken with STRONGROOM_FROM_PATH")
    key, mark, version_text = rest.partition("#")
    version = 0
    if mark:
        legal = version_text.isascii() and version_text.isdigit() and len(version_text) < 20  # noqa: PLR2004 - 2^63
        if not (legal and int(version_text)):
            msg = f"{shown[:100]!r}: version {version_text[:20]!r} is not a positive number"
            raise ConfigError(msg, hint="write bao:PATH#KEY#VERSION, or leave the version out for the newest")
        version = int(version_text)
    return Reference(path, key, version=version, optional=optional, default=default)


def parse_path_reference(text: str) -> tuple[str, bool]:
    """Parse ``bao:PATH[?optional]``, a whole path; returns the path and whether it may be missing.

    Raises:
        ConfigError: ``text`` is not such a reference.
    """
    shown = text.partition("?")[0]
    body = _strip_scheme(text)
    if body is None:
        msg = f"{shown!r}: does not begin with bao: or vault:"
        raise ConfigError(msg)
    path, optional, default = _split_options(body, shown)
    if "#" in path or default is not None:
        msg = f"{shown!r}: a whole path takes neither a key nor a default"
        raise ConfigError(msg, hint="write bao:PATH or bao:PATH?optional")
    return check_path(path), optional


def parse_value(value: str) -> list[str | Reference]:
    """Split the value of a variable into texts and references; a value without references comes back as one text.

    Raises:
        ConfigError: a reference in it is malformed or not closed.
    """
    # A path has a slash and a key a number sign; `vault:8200` or `vault:1.13` is an address or an image, no reference.
    if value.startswith(SCHEMES) and ("/" in value or "#" in value):
        return [parse_reference(value)]
    parts: list[str | Reference] = []
    text_from = search_from = 0
    while (start := value.find(_OPEN, search_from)) >= 0:
        inside = start + len(_OPEN)
        if not value.startswith(SCHEMES, inside):  # a ${...} of somebody else
            search_from = inside
            continue
        end = value.find(_CLOSE, inside)
        if end < 0:
            msg = "a ${bao:…} reference is not closed"
            raise ConfigError(msg, hint="end it with }")
        if start > text_from:
            parts.append(value[text_from:start])
        parts.append(parse_reference(value[inside:end]))
        text_from = search_from = end + len(_CLOSE)
    if text_from < len(value) or not parts:
        parts.append(value[text_from:])
    return parts
