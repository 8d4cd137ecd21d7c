"""From an environment to a plan: what to ask the bridge for, and what the application will find. Pure.

A plan holds no values of secrets; it is also what ``strongroom plan`` shows.
"""

from strongroom.bundle import BundleRequest, Entry, FromPath
from strongroom.errors import ConfigError, IntegrityError
from strongroom.reference import Reference, is_env_name, parse_path_reference, parse_value
from wrapper.settings import FROM_PATH, PREFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The dynamic loader and the C library read these before any secret is in place, so a secret in them would be an empty
# string at best; and a path that may set them could load code into the application.
_LOADER_PREFIXES = ("LD_", "DYLD_")
_LOADER_NAMES = frozenset({"GLIBC_TUNABLES", "MALLOC_CONF"})


class LaunchPlan:
    """What one launch asks for and passes on.

    Attributes:
        request: what to ask the bridge for.
        names: every variable of the environment that goes on, in its order; True marks those that hold references.
        plain: the values of the variables without references.
    """

    __slots__ = ("names", "plain", "request")

    def __init__(self, request: BundleRequest, names: dict[str, bool], plain: dict[str, str]) -> None:
        """Take the fields as they are."""
        self.request = request
        self.names = names
        self.plain = plain

    @property
    def needs_bridge(self) -> bool:
        """Whether there is anything to fetch."""
        return bool(self.request.entries or self.request.from_paths)

    def environment(self, delivered: "Sequence[str]") -> dict[str, str]:
        """Return the environment for the application: plain values, and an empty placeholder for each delivered secret.

        Args:
            delivered: the names that stand in the region. A reference that is not among them was optional and
                missing; its variable is left out, so that no application ever sees the reference itself.

        Raises:
            IntegrityError: a secret that must be there was not delivered, or one that was not asked for was.
            ConfigError: a path brought a name that cannot be a secret.
        """
        present = set(delivered)
        for entry in self.request.entries:
            if entry.name not in present and not entry.may_be_absent:
                msg = f"{entry.name}: the bridge left out a secret that is not optional"
                raise IntegrityError(msg)
        environment = {
            name: "" if is_reference else self.plain[name]
            for name, is_reference in self.names.items()
            if not is_reference or name in present
        }
        for name in delivered:
            if self.names.get(name):
                continue
            if not self.request.from_paths or name in self.names:
                msg = f"{name}: the bridge sent a secret that was not asked for"
                raise IntegrityError(msg)
            refuse_loader_name(name)
            environment[name] = ""
        return environment


def refuse_loader_name(name: str) -> None:
    """Refuse names that act on the loader, and our own.

    Raises:
        ConfigError: the name cannot be a secret.
    """
    if name.startswith((*_LOADER_PREFIXES, PREFIX)) or name in _LOADER_NAMES:
        msg = f"{name}: is read before secrets are in place, and cannot be one"
        raise ConfigError(msg)


def plan_launch(environ: "Mapping[str, str]") -> LaunchPlan:
    """Find the references in an environment.

    The wrapper's own variables (``STRONGROOM_*``) are left out of what is passed on.

    Raises:
        ConfigError: a reference is malformed, or stands in a variable that cannot hold a secret.
    """
    names: dict[str, bool] = {}
    plain: dict[str, str] = {}
    entries: list[Entry] = []
    for name, value in environ.items():
        if name.startswith(PREFIX):
            continue
        parts = _parse(name, value)
        is_reference = any(isinstance(part, Reference) for part in parts)
        names[name] = is_reference
        if is_reference:
            entries.append(_entry(name, parts))
        else:
            plain[name] = value
    from_paths = [_from_path(text) for text in environ.get(FROM_PATH, "").split(",") if text]
    exclude = frozenset(names) if from_paths else frozenset[str]()
    return LaunchPlan(BundleRequest(entries, from_paths, exclude), names, plain)


def _parse(name: str, value: str) -> "list[str | Reference]":
    try:
        return parse_value(value)
    except ConfigError as error:
        msg = f"{name}: {error.message}"
        raise ConfigError(msg, hint=error.hint) from None


def _entry(name: str, parts: "list[str | Reference]") -> Entry:
    if not is_env_name(name):
        msg = f"{name!r}: a variable with a reference may have letters, digits and _ in its name, no digit first"
        raise ConfigError(msg)
    refuse_loader_name(name)
    return Entry(name, parts)


def _from_path(text: str) -> FromPath:
    try:
        path, optional = parse_path_reference(text.strip())
    except ConfigError as error:
        msg = f"{FROM_PATH}: {error.message}"
        raise ConfigError(msg, hint=error.hint) from None
    return FromPath(path, optional=optional)
