"""From an environment to a plan: what to ask the bridge for, and what the application will find. Pure.

A plan holds no values of secrets; it is also what ``strongroom plan`` shows.
"""

from strongroom.errors import OTHER_VERSION, ConfigError, IntegrityError
from strongroom.launch.bundle import BundleRequest, Entry
from strongroom.launch.reference import Reference, holds_reference, is_env_name
from strongroom.launch.value import parse_value
from strongroom.names import PADDING, PREFIX, is_read_early, is_service_link, steers_the_process
from wrapper.settings import FROM_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from strongroom.launch.whole_path import FromPath
    from wrapper.files.value import FileTarget

_PADDING_STEP = 256  # so that the length tells little of the secrets
_VARIABLE_MAX = 128 * 1024  # MAX_ARG_STRLEN of execve(2), with the NUL

FILE_MARKS = ("file:", "file(")  # what wrapper.files.value is about; it is imported only where one is found


class LaunchPlan:
    """What one launch asks for and passes on.

    Attributes:
        request: what to ask the bridge for.
        names: every variable of the environment that goes on, in its order; True marks those that hold references.
        plain: the values of the variables without references.
        files: where those go that are delivered as files, by the names of their variables.
    """

    __slots__ = ("files", "names", "plain", "request")

    def __init__(
        self,
        request: BundleRequest,
        names: dict[str, bool],
        plain: dict[str, str],
        files: "dict[str, FileTarget] | None" = None,
    ) -> None:
        self.request = request
        self.names = names
        self.plain = plain
        self.files = files or {}

    @property
    def needs_bridge(self) -> bool:
        """Whether there is anything to fetch."""
        return bool(self.request.entries or self.request.from_paths)

    def environment(self, delivered: "Sequence[str]", file_values: "Mapping[str, str] | None" = None) -> dict[str, str]:
        """Return the environment for the application: plain values, and an empty placeholder for each delivered secret.

        Args:
            delivered: the names that are in the region. A reference that is not among them was optional and
                missing; its variable is left out, so that no application ever sees the reference itself.
            file_values: the values of the variables whose files were delivered, likewise.

        Raises:
            IntegrityError: a secret that must be there was not delivered, or one that was not asked for was.
            ConfigError: a path brought a name that cannot be a secret.
        """
        in_files = file_values or {}
        in_region = set(delivered)
        for entry in self.request.entries:
            present = in_files if entry.as_file else in_region
            if entry.name not in present and not entry.may_be_absent:
                msg = f"{entry.name}: the bridge left out a secret that is not optional"
                raise IntegrityError(msg, hint=OTHER_VERSION)
        environment = {
            name: in_files.get(name, "") if is_reference else self.plain[name]
            for name, is_reference in self.names.items()
            if not is_reference or name in in_region or name in in_files
        }
        for name in delivered:
            if self.names.get(name) and name not in self.files:
                continue
            if not self.request.from_paths or name in self.names:
                raise IntegrityError(f"{name}: the bridge sent a secret that was not asked for", hint=OTHER_VERSION)
            if steers_the_process(name):
                msg = f"{name}: acts on the loader, the C library or Strongroom, and cannot come with a whole path"
                raise ConfigError(msg, hint="rename the key; a variable of that name can refer to it by itself")
            environment[name] = ""
        return environment


def plan_launch(
    environ: "Mapping[str, str]",
    read_template: "Callable[[str], str] | None" = None,
    *,
    exclude: "frozenset[str]" = frozenset(),
) -> LaunchPlan:
    """Find the references in an environment.

    The wrapper's own variables (``STRONGROOM_*``) are left out of what is passed on; what Kubernetes tells of a Service
    that is called like us is the application's.

    Args:
        environ: names and values.
        read_template: returns the text of a file of the image, for ``file(template=...)``; raises ConfigError.
        exclude: names that a whole path does not set, besides those in the environment.

    Raises:
        ConfigError: a reference is malformed, or is in a variable that cannot hold a secret.
    """
    names: dict[str, bool] = {}
    plain: dict[str, str] = {}
    entries: list[Entry] = []
    files: dict[str, FileTarget] = {}
    for name, value in environ.items():
        if name.startswith(PREFIX) and not is_service_link(name, value):
            continue
        try:
            target, text = _target_of(value, read_template) if value.startswith(FILE_MARKS) else (None, value)
            parts = parse_value(text)
        except ConfigError as error:
            raise ConfigError(f"{name}: {error.message}", hint=error.hint) from None
        is_reference = any(isinstance(part, Reference) for part in parts)
        names[name] = is_reference
        if target:
            files[name] = target
            entries.append(_entry(name, parts, as_file=True, decode=target.decode))
        elif is_reference:
            entries.append(_entry(name, parts))
        else:
            plain[name] = "".join(part for part in parts if isinstance(part, str))  # without what says literal:
    from_paths = [_from_path(text) for text in environ.get(FROM_PATH, "").split(",") if text]
    taken = exclude | names.keys() if from_paths else frozenset[str]()
    return LaunchPlan(BundleRequest(entries, from_paths, taken), names, plain, files)


def _target_of(value: str, read_template: "Callable[[str], str] | None") -> "tuple[FileTarget | None, str]":
    """Return where a file goes and the text for it; no target and the value itself when it is an ordinary one."""
    from wrapper.files.value import split_file_value

    target, text = split_file_value(value) or (None, value)
    if target and target.template:
        if read_template is None:
            msg = f"template={target.template}: cannot be read here"
            raise ConfigError(msg, hint="template= is for launches; ask `strongroom plan` in the container")
        text = read_template(target.template)
        if not holds_reference(text):
            msg = f"template={target.template}: holds no reference"
            raise ConfigError(msg, hint="write ${bao:PATH#KEY} where the secrets go, or use the file as it is")
    return target, text


def _entry(name: str, parts: "list[str | Reference]", *, as_file: bool = False, decode: bool = False) -> Entry:
    if not is_env_name(name):
        msg = f"{name!r}: a variable with a reference may have letters, digits and _ in its name, no digit first"
        other = name.replace(".", "_").replace("-", "").upper()
        dotted = "." in name and is_env_name(other)
        hint = "give it another name, or write a file with the reference in it (template=)"
        if dotted:
            hint = f"Spring and its like read it as {other}, too; or write a file with the reference in it (template=)"
        raise ConfigError(msg, hint=hint)
    if is_read_early(name):
        msg = f"{name}: is read before secrets are in place, and cannot be one"
        raise ConfigError(msg, hint="take the secret in another variable, or as a file")
    return Entry(name, parts, as_file=as_file, decode=decode)


def _from_path(text: str) -> "FromPath":
    from strongroom.launch.whole_path import parse_from_path

    try:
        return parse_from_path(text.strip())
    except ConfigError as error:
        raise ConfigError(f"{FROM_PATH}: {error.message}", hint=error.hint) from None


def with_padding(environment: "dict[str, str]", value_bytes: "Mapping[str, int]") -> dict[str, str]:
    """Return the environment with the padding at its end, and with what is not a secret at its beginning.

    The padding makes the room on the initial stack as long as secrets in their placeholders would be. Servers take the
    room of their arguments and environment for a title, and some compute it from the strings that ``environ`` points at
    (preload/src/shared/environment.h). Where the secrets are put in place, it becomes an empty variable.

    What looks for its arguments in front of the first string of the environment finds them if that one is on the stack.

    Args:
        environment: with placeholders.
        value_bytes: the length of each secret.
    """
    ordered = {name: value for name, value in environment.items() if name not in value_bytes} | environment
    text = _padding(sum(value_bytes.values()))
    if text:
        ordered[PADDING] = text
    return ordered


def _padding(value_bytes: int) -> str:
    """Return the value of the variable; empty for none, when it would be longer than a variable can be."""
    length = value_bytes + -value_bytes % _PADDING_STEP
    return "." * length if len(PADDING) + 2 + length <= _VARIABLE_MAX else ""
