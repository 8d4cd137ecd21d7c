"""Who else could have the secrets of a launch, as far as it can be refused or told beforehand.

Other programs and users of this machine, and programs that the application starts. Imported only where that matters.
"""

from strongroom.errors import ConfigError
from strongroom.launch.reference import is_env_name
from strongroom.terminal import say
from wrapper.program import DEFAULT_PATH, CannotExecError, NotOnPathError, ProtectionError, find_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from wrapper.settings import WrapperSettings

YAMA = "/proc/sys/kernel/yama/ptrace_scope"


def require_yama() -> None:
    """Refuse to start where other programs of this user could take the secrets while the launch execs.

    Raises:
        ProtectionError: Yama lets programs of one user trace each other, or is not there.
    """
    scope = yama_scope()
    if scope:
        return
    found = "is 0" if scope == 0 else "is not there"
    msg = f"kernel.yama.ptrace_scope {found}: other programs of this user could take the secrets while the launch execs"
    raise ProtectionError(
        msg, hint="sysctl kernel.yama.ptrace_scope=1 on the node, or a user of its own for the container; or leave out "
        "--require-yama"
    )  # fmt: skip


def protections_given_up(settings: "WrapperSettings") -> dict[str, str]:
    """Return what the settings switch off, by the names of the settings, and what comes of it."""
    texts = {
        "dumpable": "other programs of the application's user may read its memory but for the secret memory itself",
        "new-privileges": "set-id programs and file capabilities take effect in what the application starts",
        "shared-key": "every user of the container may have the key, and with it the secrets",
    }
    on = {"dumpable": settings.dumpable, "new-privileges": settings.new_privileges, "shared-key": settings.shared_key}
    return {name: text for name, text in texts.items() if on[name]}


def yama_scope(path: str = YAMA) -> int | None:
    """Return Yama's ptrace_scope, or None where the kernel has no Yama (Documentation/admin-guide/LSM/Yama.rst)."""
    try:
        with open(path, "rb") as file:
            return int(file.read(16))
    except (OSError, ValueError):
        return None


def check_allowed(settings: "WrapperSettings", variables: "Collection[str]", search_path: str) -> None:
    """Refuse names of variables in ``--children allow:LIST``, and warn of programs that are not there.

    Nothing with such a name gets a secret.

    Args:
        settings: of the launch, with a list of programs.
        variables: names of the application's variables.
        search_path: PATH of the launch; "" for the default one.

    Raises:
        ConfigError: one can only be meant as a variable.
    """
    for name in settings.children.removeprefix("allow:").split(","):
        try:
            find_file(name, search_path or DEFAULT_PATH)
        except (NotOnPathError, CannotExecError) as error:
            if name in variables or (is_env_name(name) and name.isupper()):
                msg = f"--children allow:{name}: is a variable, and the list is of programs that get all of them"
                hint = "name programs, as allow:pg_dump,/opt/app/worker; others find no secret at all"
                raise ConfigError(msg, hint=hint) from None
            if not settings.quiet:
                say(f"warning: --children allow:{name}: there is no such program now ({error.message})")
