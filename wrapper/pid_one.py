"""What to know of a command that becomes PID 1 of a container. Imported only there."""

from wrapper.main import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wrapper.program import Program

_SHELLS = frozenset({"sh", "ash", "bash", "busybox", "dash", "ksh", "mksh", "zsh"})


def warn_of_shell(program: "Program", command: list[str]) -> None:
    """Say that a shell as PID 1 does not end on SIGTERM (signal(7), pid_namespaces(7)), unless all it does is exec."""
    is_shell = program.path.rpartition("/")[2] in _SHELLS and "-c" in command[1:-1]
    if is_shell and not command[-1].lstrip().startswith("exec "):
        say("warning: a shell as PID 1 neither ends on SIGTERM nor passes it on: --supervise, or exec in its script")
