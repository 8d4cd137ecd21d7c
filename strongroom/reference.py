"""References to secrets, as they stand in environment variables.

    NAME=bao:kv/shop/db#password                  newest version
    NAME=bao:kv/shop/db#password#3                version 3
    NAME=bao:kv/shop/db#password?optional         left out when there is no such secret
    NAME=bao:kv/shop/db#password?default=none     this text when there is no such secret
    NAME=postgres://app:${bao:kv/shop/db#password}@db/shop      several may stand in one value

``vault:`` is an alias of ``bao:``. A path is written as ``bao kv get`` takes it, without ``/data/``.

Pure text handling; whether a path may be read is the bridge's business. Both sides parse with this module, so what the
bridge decides on is what the wrapper wrote.
"""

import re

from strongroom.errors import ConfigError

SCHEMES = ("bao:", "vault:")
MAX_PATH_CHARS = 1024
MAX_KEY_CHARS = 512

# Characters that mean something to a URL, to a policy glob or to this grammar. A path with one of them could name one
# thing to the policy and another to OpenBao, so none is let in.
_FORBIDDEN_IN_PATH = re.compile(r"[\x00-\x20\x7f?#%\\*{}\[\]\"'<>|^`]")
_FORBIDDEN_IN_KEY = re.compile(r"[\x00-\x1f\x7f#?{}]")
_INLINE = re.compile(r"\$\{((?:bao|vault):[^}]*)\}")
_OPEN_INLINE = re.compile(r"\$\{(?:bao|vault):")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


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
            ConfigError: path, key or version is not legal.
        """
        self.path = check_path(path)
        self.key = _check_key(key, path)
        if version < 0:
            msg = f"{path}#{key}: version {version} is not a version; versions count from 1"
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
    if _FORBIDDEN_IN_PATH.search(path):
        msg = f"secret path {path!r}: spaces, control characters and any of ?#%\\*{{}}[]\"'<>|^` are not allowed"
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
    if not key or len(key) > MAX_KEY_CHARS or _FORBIDDEN_IN_KEY.search(key):
        msg = f"{path}: key {key[:40]!r} is not legal; a key has 1 to {MAX_KEY_CHARS} characters and none of #?{{}}"
        raise ConfigError(msg, hint="write bao:PATH#KEY")
    return key


def is_env_name(name: str) -> bool:
    """Say whether ``name`` can be an environment variable that shells, too, can read (POSIX XBD, 8.1)."""
    return _ENV_NAME.match(name) is not None


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
    msg = f"{whole!r}: unknown option {option.partition('=')[0]!r}"
    raise ConfigError(msg, hint="the options are ?optional and ?default=TEXT")


def parse_reference(text: str) -> Reference:
    """Parse ``bao:PATH#KEY[#VERSION][?optional|?default=TEXT]``.

    Raises:
        ConfigError: ``text`` is not such a reference; the message says what is wrong.
    """
    body = _strip_scheme(text)
    if body is None:
        msg = f"{text!r}: does not begin with bao: or vault:"
        raise ConfigError(msg)
    shown = text.partition("?")[0]
    target, optional, default = _split_options(body, shown)
    path, mark, rest = target.partition("#")
    if not mark:
        msg = f"{shown!r}: has no key"
        raise ConfigError(msg, hint="write bao:PATH#KEY; a whole path is taken with STRONGROOM_FROM_PATH")
    key, mark, version_text = rest.partition("#")
    version = 0
    if mark:
        if not (version_text.isascii() and version_text.isdigit() and int(version_text) > 0):
            msg = f"{shown!r}: version {version_text!r} is not a positive number"
            raise ConfigError(msg, hint="write bao:PATH#KEY#VERSION, or leave the version out for the newest")
        version = int(version_text)
    return Reference(path, key, version=version, optional=optional, default=default)


def parse_path_reference(text: str) -> tuple[str, bool]:
    """Parse ``bao:PATH[?optional]``, a whole path; returns the path and whether it may be missing.

    Raises:
        ConfigError: ``text`` is not such a reference.
    """
    body = _strip_scheme(text)
    if body is None:
        msg = f"{text!r}: does not begin with bao: or vault:"
        raise ConfigError(msg)
    path, optional, default = _split_options(body, text.partition("?")[0])
    if "#" in path or default is not None:
        msg = f"{text.partition('?')[0]!r}: a whole path takes neither a key nor a default"
        raise ConfigError(msg, hint="write bao:PATH or bao:PATH?optional")
    return check_path(path), optional


def parse_value(value: str) -> list[str | Reference]:
    """Split the value of a variable into texts and references; a value without references comes back as one text.

    Raises:
        ConfigError: a reference in it is malformed or not closed.
    """
    if value.startswith(SCHEMES):
        return [parse_reference(value)]
    if "${" not in value:
        return [value]
    parts: list[str | Reference] = []
    end = 0
    for match in _INLINE.finditer(value):
        if match.start() > end:
            parts.append(value[end : match.start()])
        parts.append(parse_reference(match.group(1)))
        end = match.end()
    rest = value[end:]
    if _OPEN_INLINE.search(rest):
        msg = "a ${bao:…} reference is not closed"
        raise ConfigError(msg, hint="end it with }")
    if rest or not parts:
        parts.append(rest)
    return parts
