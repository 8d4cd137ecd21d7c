"""The page of settings: of the wrapper, the bridge and the S3 proxy."""

import enum
import types
import typing
from pathlib import Path

from bridge.settings import PREFIX as BRIDGE
from bridge.settings import BridgeSettings
from s3proxy.settings import PREFIX as S3PROXY
from s3proxy.settings import ProxySettings
from scripts.reference.markdown import code, page, section, table
from strongroom.service.settings import Setting, settings_in
from wrapper.settings import SETTINGS as WRAPPER
from wrapper.usage import SUPERVISION

_KINDS: dict[object, str] = {str: "text", Path: "file", int: "whole number", float: "number", bool: "`true` or `false`"}
_HEAD = ("setting", "what it is", "type and unit", "default")


def settings_page() -> str:
    """Return the page."""
    return page(
        "Settings",
        """
Each setting can be given as a flag, as a variable, or as a key of a TOML file; the first of these counts, then the
default. `setting` is the key of the file; the flag is the same with two dashes in front of it, and dashes for
underscores. What is unknown or malformed stops the start with a line that names it.
""",
        section(
            "strongroom run, exec and plan",
            "Variables: `STRONGROOM_` and the name in capitals. File: `--config FILE`, `STRONGROOM_CONFIG`. "
            "Written with dashes in the file, too.",
            table(("flag and key", "variable", "what it is", "value", "default"), _wrapper()),
        ),
        section(
            "Supervision",
            "Flags and variables of `strongroom run` as PID 1 ([supervise.md](../supervise.md)); no keys of the file.",
            table(("flag", "variable", "what it is"), ((code(f), code(v), m) for f, v, m in SUPERVISION)),
        ),
        _server("strongroom bridge", BridgeSettings, BRIDGE),
        _server("strongroom s3proxy", ProxySettings, S3PROXY),
    )


def _wrapper() -> list[tuple[str, ...]]:
    return [
        (code(one.flag), code(one.variable), one.meaning, code(one.metavar), code(one.default) or "none")
        for one in WRAPPER
    ]


def _server(title: str, kind: type[object], prefix: str) -> str:
    known = list(settings_in(kind).values())
    rows = [(code(one.name), one.rule.meaning, _kind(one), _default(one)) for one in known]
    example = known[0].name
    return section(
        title,
        f"Flags: `{known[0].flag}`. Variables: `{prefix}{example.upper()}`. File: `--config FILE`, "
        f"`{prefix}CONFIG`. `--print-config` prints what is in force.",
        table(_HEAD, rows),
    )


def _kind(setting: Setting) -> str:
    hint, rule = setting.kind, setting.rule
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not types.NoneType)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return " or ".join(code(str(member.value)) for member in hint)
    kind = _KINDS[hint]
    unit = rule.unit if rule.unit not in {"number", "true or false"} else ""
    if kind == "text" or kind in unit:
        kind = "" if unit else kind
    limits = [f"at least {rule.minimum:g}"] if rule.minimum is not None else []
    limits += [f"at most {rule.maximum:g}"] if rule.maximum is not None else []
    return "; ".join(part for part in (kind, unit, ", ".join(limits)) if part)


def _default(setting: Setting) -> str:
    if setting.is_required:
        return "must be given"
    value = setting.default.value if isinstance(setting.default, enum.Enum) else setting.default
    shown = "not set" if value is None else "empty" if value == "" else code(_toml(value))
    why = setting.rule.why
    return f"{shown}: {why}" if why else shown


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
