"""Whole paths: every key of a secret becomes a variable, and options say which keys, and what they are called.

    STRONGROOM_FROM_PATH=bao:kv/shop/env                                    each key under its own name
    STRONGROOM_FROM_PATH=bao:kv/shop/env?optional                           nothing when there is no such secret
    STRONGROOM_FROM_PATH=bao:kv/shop/env?names=convert                      _ for what no name may have; or names=skip
    STRONGROOM_FROM_PATH=bao:kv/shop/db?prefix=DB_&case=upper               password is DB_PASSWORD
    STRONGROOM_FROM_PATH=bao:kv/shop/env?include=db-*&exclude=*-old         some keys only; * is anything

``include`` and ``exclude`` look at keys as they are stored, and may be given several times. Then names are converted,
written in capitals, and get their prefix, in this order. Characters that mean something here (``& , ? #`` and ``%``)
are percent-encoded. Pure; a launch imports it only where it has a whole path.
"""

from strongroom.errors import ConfigError
from strongroom.glob import Glob
from strongroom.launch.reference import check_path, decode_spelled, is_env_name, parse_path_reference

# What becomes of keys of a whole path that cannot be the names of variables.
REFUSE, SKIP, CONVERT = "refuse", "skip", "convert"
NAMES = (REFUSE, SKIP, CONVERT)
KEEP, UPPER = "keep", "upper"
CASES = (KEEP, UPPER)

MAX_PATTERNS = 8  # of one path; each is held against each key
MAX_PATTERN_CHARS = 512  # as a key has
MAX_PREFIX_CHARS = 64

_SPELLED = frozenset(" ,&%?#\"'\\`$")  # also what a shell or a list of paths would take for its own
_ONCE = ("names", "prefix", "case")
_OFTEN = ("include", "exclude")
_HINT = (
    "the options are optional, names=skip or convert, prefix=, case=upper, include= and exclude=, with & between them"
)


class FromPath:
    """A path of which every key becomes a variable.

    Attributes:
        path: the path.
        optional: whether it may be missing.
        names: what becomes of keys that cannot be the names of variables, one of NAMES.
        prefix: in front of each name.
        case: one of CASES.
        include: patterns of keys that are taken; all when there is none.
        exclude: patterns of keys that are not.
    """

    __slots__ = ("case", "exclude", "include", "names", "optional", "path", "prefix")

    def __init__(  # noqa: PLR0913 - one for each option
        self,
        path: str,
        *,
        optional: bool = False,
        names: str = REFUSE,
        prefix: str = "",
        case: str = KEEP,
        include: tuple[str, ...] = (),
        exclude: tuple[str, ...] = (),
    ) -> None:
        """Check every option.

        Raises:
            ConfigError: the path is not canonical, or an option is not legal.
        """
        for option, value, legal in (("names", names, NAMES), ("case", case, CASES)):
            if value not in legal:
                raise ConfigError(f"{option}={value[:40]}: must be one of {', '.join(legal)}", hint=_HINT)
        if prefix and not (is_env_name(prefix) and len(prefix) <= MAX_PREFIX_CHARS):
            msg = f"prefix={prefix[:80]}: no variable can begin so"
            hint = f"a prefix has letters, digits and _, no digit first, and at most {MAX_PREFIX_CHARS} of them"
            raise ConfigError(msg, hint=hint)
        if len(include) + len(exclude) > MAX_PATTERNS or any(
            len(text) > MAX_PATTERN_CHARS for text in include + exclude
        ):
            msg = f"include= and exclude= stand {len(include) + len(exclude)} times"
            hint = f"at most {MAX_PATTERNS} are taken, of {MAX_PATTERN_CHARS} characters; * stands for anything"
            raise ConfigError(msg, hint=hint)
        self.path = check_path(path)
        self.optional = optional
        self.names = names
        self.prefix = prefix
        self.case = case
        self.include = tuple(Glob(pattern, separator="") for pattern in include)
        self.exclude = tuple(Glob(pattern, separator="") for pattern in exclude)

    def variable_of(self, key: str) -> str | None:
        """Return the name of the variable for a key, or None when it is left out; it may still not be a legal one."""
        return self.name_of(key) if self.takes(key) else None

    def takes(self, key: str) -> bool:
        """Return whether a key is taken, as far as its patterns say."""
        if self.include and not any(glob.matches(key) for glob in self.include):
            return False
        return not any(glob.matches(key) for glob in self.exclude)

    def name_of(self, key: str) -> str | None:
        """Return what the variable for a key is called, whatever the patterns say; None where names= leaves it out.

        Converted, ``tls.crt`` is ``tls_crt`` and ``1st`` is ``_1st``.
        """
        name = self._in_case(key)
        if self.names == REFUSE or is_env_name(self.prefix + name):
            return self.prefix + name
        if self.names == SKIP:
            return None
        name = "".join(char if char.isascii() and char.isalnum() else "_" for char in name)
        return f"_{name}" if name[:1].isdigit() and not self.prefix else self.prefix + name

    def _in_case(self, key: str) -> str:
        if self.case == KEEP:
            return key
        return key.upper() if key.isascii() else "".join(char.upper() if char.isascii() else char for char in key)

    def to_document(self) -> dict[str, object]:
        """Return the JSON form; what has its default is left out, so that a bridge that does not know it may serve."""
        members: dict[str, object] = {
            "optional": self.optional,
            "names": self.names if self.names != REFUSE else "",
            "prefix": self.prefix,
            "case": self.case if self.case != KEEP else "",
            "include": [glob.pattern for glob in self.include],
            "exclude": [glob.pattern for glob in self.exclude],
        }
        return {"path": self.path} | {name: value for name, value in members.items() if value}


def spell_pattern(key: str) -> str:
    """Return a key as it is written behind ``include=`` or ``exclude=``."""
    return "".join(f"%{ord(char):02X}" if char in _SPELLED else char for char in key)


def parse_from_path(text: str) -> FromPath:
    """Parse ``bao:PATH[?OPTION[&OPTION]...]``.

    Raises:
        ConfigError: ``text`` is something else.
    """
    body, mark, options = text.partition("?")
    found: dict[str, list[str]] = {}
    others: list[str] = []
    for option in options.split("&") if mark else ():
        name, equals, value = option.partition("=")
        if equals and name in _ONCE + _OFTEN:
            found.setdefault(name, []).append(decode_spelled(value, option[:200]))
        elif not equals and option != "optional":
            raise ConfigError(f"{body[:200]!r}: unknown option {name[:20]!r}", hint=_HINT)
        else:
            others.append(option)
    for name in _ONCE:
        if len(found.get(name, ())) > 1:
            raise ConfigError(f"{body[:200]!r}: {name}= is given twice", hint=_HINT)
    path, optional = parse_path_reference("?".join([body, *others]))
    return FromPath(
        path,
        optional=optional,
        names=found.get("names", [REFUSE])[0],
        prefix=found.get("prefix", [""])[0],
        case=found.get("case", [KEEP])[0],
        include=tuple(found.get("include", ())),
        exclude=tuple(found.get("exclude", ())),
    )
