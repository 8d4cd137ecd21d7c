"""What other programs and users of this machine could do to a launch, as far as it can be refused beforehand."""

from wrapper.program import ProtectionError

TYPE_CHECKING = False
if TYPE_CHECKING:
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
