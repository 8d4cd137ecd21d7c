"""The three inits that the suite runs against, and where they differ by design.

tini 0.19 and dumb-init 1.2.5 are what Debian ships. A difference stands here with its reason, and not as a skipped
test: so the suite is known to tell right from wrong.
"""

import shutil
import signal
from dataclasses import dataclass, field
from enum import Enum, auto

ALL_SIGNALS = frozenset(range(1, 65))
NEVER = frozenset({int(signal.SIGKILL), int(signal.SIGSTOP)})  # cannot be caught
OWN = frozenset({int(signal.SIGCHLD)})  # every init keeps it for reaping
FAULTS = frozenset(
    map(int, (signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGTRAP, signal.SIGSYS))
)
LIBC_ONLY = frozenset({32, 33})  # glibc keeps them to itself: sigfillset() leaves them out
STOPS = frozenset(map(int, (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)))


class Can(Enum):
    """What an init can do beyond the common ground."""

    KEEP_EARLY_SIGNALS = auto()  # dumb-init's child has, up to exec, handlers that do nothing
    REMAP_TO_ANY = auto()  # tini -e maps to 0 only; dumb-init has nothing like it
    REMAP_TO_ZERO = auto()
    REAP_WHEN_NOT_PID_1 = auto()  # dumb-init is not a child subreaper
    KEEP_IGNORED = auto()  # dumb-init installs handlers, which exec turns into defaults
    KEEP_BLOCKED = auto()  # dumb-init unblocks everything for the child
    KEEP_SIGCHLD_IGNORED = auto()  # tini leaves it ignored for itself and so never learns the child's status
    PARENT_DEATH_SIGNAL = auto()
    TERM_THE_REST = auto()  # of the group, when the main child has ended; tini just ends
    STOP_TIMEOUT = auto()
    QUEUED_VALUES = auto()  # what sigqueue(3) carries
    LET_GO_OF_DESCRIPTORS = auto()
    STOP_WITH_THE_CHILD = auto()  # Ctrl-Z and fg below a shell with job control
    IGNORE_LONE_CTRL_Z = auto()  # Ctrl-Z where nobody could continue; with tini the child stays stopped
    GIVE_TERMINAL_BACK = auto()


@dataclass(frozen=True)
class Init:
    """How to call one init.

    Attributes:
        name: of the program on PATH, or the path.
        alone: options by which signals go to the child alone.
        group: options by which they go to its process group.
        subreaper: options by which orphans come to it when it is not PID 1.
        not_passed_on: signals that it does not pass on as they are.
        missing_status: exit status when there is no such command.
        cannot_exec_status: exit status when the command cannot be executed.
    """

    name: str
    path: str
    alone: tuple[str, ...]
    group: tuple[str, ...]
    subreaper: tuple[str, ...]
    not_passed_on: frozenset[int]
    missing_status: int
    cannot_exec_status: int
    can: frozenset[Can] = field(default=frozenset())

    def __str__(self) -> str:
        return self.name


def strongroom_init(path: str, name: str = "strongroom-init") -> Init:
    """Return the descriptor of ours."""
    return Init(
        name=name,
        path=path,
        alone=(),
        group=("-g",),
        subreaper=(),
        not_passed_on=NEVER | OWN | FAULTS,
        missing_status=127,
        cannot_exec_status=126,
        can=frozenset(Can),
    )


TINI = Init(
    name="tini",
    path=shutil.which("tini") or "tini",
    alone=(),
    group=("-g",),
    subreaper=("-s",),
    # It keeps SIGABRT with the faults, and ignores SIGTTIN and SIGTTOU for its own sake.
    not_passed_on=NEVER | OWN | FAULTS | LIBC_ONLY | {signal.SIGABRT, signal.SIGTTIN, signal.SIGTTOU},
    missing_status=127,
    cannot_exec_status=126,
    can=frozenset(
        {
            Can.KEEP_EARLY_SIGNALS,
            Can.REMAP_TO_ZERO,
            Can.REAP_WHEN_NOT_PID_1,
            Can.KEEP_IGNORED,
            Can.KEEP_BLOCKED,
            Can.PARENT_DEATH_SIGNAL,
        }
    ),
)

DUMB_INIT = Init(
    name="dumb-init",
    path=shutil.which("dumb-init") or "dumb-init",
    alone=("--single-child",),
    group=(),
    subreaper=(),
    not_passed_on=NEVER | OWN | LIBC_ONLY,
    missing_status=2,  # any failure of exec ends it so
    cannot_exec_status=2,
    can=frozenset({Can.TERM_THE_REST, Can.IGNORE_LONE_CTRL_Z, Can.KEEP_SIGCHLD_IGNORED}),
)
