"""Declares the settings of a component: a frozen dataclass, and groups of settings beside what they set.

From outside there are no groups: ``settings.openbao.address`` is ``openbao_address``, after the prefix of its group.
``strongroom.service.command`` reads them. The wrapper uses neither: it would pay for dataclasses at every launch.
"""

import dataclasses
import enum
import typing
from collections.abc import Iterator, Mapping
from operator import attrgetter


class Guard(enum.Enum):
    """What nobody but its owner may do with a file that a setting names."""

    READ = "its content is a secret, and believed, too"
    WRITE = "its content is believed"


@dataclasses.dataclass(frozen=True)
class Rule:
    """What is known about a setting beside its name, type and default.

    Attributes:
        meaning: what it is, in a few words; its group says what ``{whose}`` is.
        unit: of a number, or what a string must look like.
        why: the reason for this default.
        minimum: least allowed number.
        maximum: greatest allowed number.
        private: the value is not shown by ``--print-config``.
        guard: of the file that it names.
        last: lists have it behind all that are not.
        behind: lists have it right behind this setting, which is named as one beside it.
    """

    meaning: str
    unit: str = ""
    why: str = ""
    minimum: float | None = None
    maximum: float | None = None
    private: bool = False
    guard: Guard | None = None
    last: bool = False
    behind: str = ""


class Parts(typing.TypedDict, total=False):
    """Parts of a rule that most settings do without."""

    minimum: float
    maximum: float
    private: bool
    guard: Guard
    last: bool
    behind: str


class Changes(Parts, total=False):
    """Parts of a rule that another one has in their place."""

    meaning: str
    unit: str
    why: str


REQUIRED = dataclasses.MISSING  # instead of a default: the setting must be given
_SAME = object()  # as it was declared
SettingsT = typing.TypeVar("SettingsT")


def setting(default: object, meaning: str, unit: str = "", why: str = "", **parts: typing.Unpack[Parts]) -> typing.Any:  # noqa: ANN401 - as dataclasses.field
    """Declare a field of a settings class; see ``Rule``."""
    rule = Rule(meaning, unit, why, **parts)
    if default is REQUIRED:
        return dataclasses.field(metadata={"rule": rule})
    return dataclasses.field(default=default, metadata={"rule": rule})


def seconds(default: float, meaning: str, why: str = "", **parts: typing.Unpack[Parts]) -> typing.Any:  # noqa: ANN401
    """Declare a time, which is 10 ms at least unless a minimum is given."""
    parts.setdefault("minimum", 0.01)
    return setting(default, meaning, "seconds", why, **parts)


def number(default: int, meaning: str, why: str = "", **parts: typing.Unpack[Parts]) -> typing.Any:  # noqa: ANN401
    """Declare how many there are, which is 1 at least unless a minimum is given."""
    parts.setdefault("minimum", 1)
    return setting(default, meaning, "number", why, **parts)


@dataclasses.dataclass(frozen=True)
class _Changed:
    default: object
    parts: Changes


def changed(default: object = _SAME, **parts: typing.Unpack[Changes]) -> _Changed:
    """Say what is different about a setting of a group."""
    return _Changed(default, parts)


@dataclasses.dataclass(frozen=True)
class _Group:
    kind: type[object]
    prefix: str = ""
    whose: str = ""
    behind: str = ""
    changes: Mapping[str, object] = dataclasses.field(default_factory=dict)

    def inner(self, field: "dataclasses.Field[typing.Any]") -> "_Group | None":
        """Return the group that a field is, which inherits what is said of this one."""
        found: _Group | None = field.metadata.get("group")
        if found is None:
            return None
        return dataclasses.replace(found, whose=found.whose or self.whose, changes={**found.changes, **self.changes})


def group(kind: type[object], prefix: str = "", *, whose: str = "", behind: str = "", **changes: object) -> typing.Any:  # noqa: ANN401 - as dataclasses.field
    """Declare a field that is a group of settings.

    Args:
        kind: its class.
        prefix: of the names of its settings.
        whose: they are, for their meanings: "the bridge's".
        behind: lists have them right behind this setting, which is named as one beside the group.
        changes: of its fields, and of those of groups in it: another default, or what ``changed`` returns.

    Raises:
        TypeError: a change is of a field that there is not.
    """
    if unknown := sorted(changes.keys() - set(_names(kind))):
        raise TypeError(f"{kind.__name__} has no {', '.join(unknown)}")
    return dataclasses.field(metadata={"group": _Group(kind, prefix, whose, behind, changes)})


@dataclasses.dataclass(frozen=True)
class Setting:
    """A setting as it is known from outside.

    Attributes:
        name: with the prefixes of its groups.
        path: of attributes, from the settings of the component.
        kind: its type.
        default: or REQUIRED.
        rule: it obeys.
    """

    name: str
    path: str
    kind: typing.Any
    default: object
    rule: Rule

    @property
    def flag(self) -> str:
        """The flag that sets it."""
        return "--" + self.name.replace("_", "-")

    @property
    def is_required(self) -> bool:
        """Whether it must be given."""
        return self.default is REQUIRED


def settings_in(kind: type[object]) -> dict[str, Setting]:
    """Return the settings of a class and of the groups in it, by name, in the order of lists."""
    found = sorted(_flatten(_Group(kind)), key=lambda one: one.rule.last)
    for moved in [one for one in reversed(found) if one.rule.behind]:
        found.remove(moved)
        found.insert(1 + [one.name for one in found].index(moved.rule.behind), moved)
    return {one.name: one for one in found}


def values_in(settings: object) -> dict[str, object]:
    """Return what settings are set to, by name, in the order of lists."""
    return {name: attrgetter(one.path)(settings) for name, one in settings_in(type(settings)).items()}


def _flatten(group: _Group, prefix: str = "", path: str = "") -> Iterator[Setting]:
    hints = typing.get_type_hints(group.kind)
    for field in _fields(group.kind):
        inner, rule = group.inner(field), field.metadata.get("rule")
        if inner is not None:
            for one in _flatten(inner, prefix + inner.prefix, f"{path}{field.name}."):
                behind = one.rule.behind or (inner.behind and prefix + inner.behind)
                yield dataclasses.replace(one, rule=dataclasses.replace(one.rule, behind=behind))
        elif rule is not None:
            change = group.changes.get(field.name, _SAME)
            if not isinstance(change, _Changed):
                change = _Changed(change, {})
            rule = dataclasses.replace(rule, **change.parts)
            rule = dataclasses.replace(
                rule, meaning=rule.meaning.replace("{whose}", group.whose), behind=rule.behind and prefix + rule.behind
            )
            default = field.default if change.default is _SAME else change.default
            yield Setting(prefix + field.name, path + field.name, hints[field.name], default, rule)


def _names(kind: type[object]) -> Iterator[str]:
    for field in _fields(kind):
        yield field.name
        inner: _Group | None = field.metadata.get("group")
        if inner is not None:
            yield from _names(inner.kind)


def make_settings(kind: type[SettingsT], values: Mapping[str, object]) -> SettingsT:
    """Return settings, of the values of all of them by name.

    Raises:
        ConfigError: a class refuses them, as they contradict each other.
    """
    return typing.cast("SettingsT", _make(_Group(kind), values))


def _make(group: _Group, values: Mapping[str, object], prefix: str = "") -> object:
    made: dict[str, object] = {}
    for field in _fields(group.kind):
        if inner := group.inner(field):
            made[field.name] = _make(inner, values, prefix + inner.prefix)
        elif "rule" in field.metadata:
            made[field.name] = values[prefix + field.name]
        elif field.name in group.changes:
            made[field.name] = group.changes[field.name]
    return group.kind(**made)


def _fields(kind: type[object]) -> "tuple[dataclasses.Field[typing.Any], ...]":
    return dataclasses.fields(typing.cast("typing.Any", kind))
