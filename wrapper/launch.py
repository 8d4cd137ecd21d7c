"""One launch, step by step: from its plan to the application. What ``run`` and ``exec`` share."""

import os
from time import monotonic, time

from strongroom.errors import ConfigError
from strongroom.names import PADDING
from strongroom.terminal import say
from wrapper.exec import become, harden, usable_library
from wrapper.plan import with_padding
from wrapper.program import RUNG_PTRACE, ProtectionError, choose_rung, find_program, without_effect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

    from wrapper.fetch.addresses import Beginning
    from wrapper.fetch.bridge import Bridge
    from wrapper.files.launch_files import Files
    from wrapper.memory import SecretMemory
    from wrapper.plan import LaunchPlan
    from wrapper.program import Program
    from wrapper.settings import WrapperSettings
    from wrapper.signals import Guard

# What is put beside the placeholders.
_ADDED = frozenset({"LD_PRELOAD", "STRONGROOM_REGION", "STRONGROOM_CHILDREN", "STRONGROOM_DUMPABLE", PADDING})

_SHELLS = frozenset({"sh", "ash", "bash", "busybox", "dash", "ksh", "mksh", "zsh"})


class Launch:
    """What one launch starts, and with what.

    Attributes:
        command: the words of the command.
        environ: the environment that the plan was made from.
        settings: of this launch.
        plan: what to ask for and pass on.
    """

    __slots__ = ("command", "environ", "plan", "settings")

    def __init__(
        self, command: list[str], environ: "Mapping[str, str]", settings: "WrapperSettings", plan: "LaunchPlan"
    ) -> None:
        self.command = command
        self.environ = environ
        self.settings = settings
        self.plan = plan

    def start(self, guard: "Guard", started: float) -> "NoReturn":
        """Fetch what the plan asks for and become the command.

        Args:
            guard: which has the signals in hand.
            started: when the launch began, on the monotonic clock.

        Raises:
            StrongroomError: whatever stopped it; nothing of the application has run.
        """
        settings, plan = self.settings, self.plan
        program = find_program(self.command, self.environ)
        self._look_at(program)
        if not plan.needs_bridge:
            harden(settings)
            become(program, dict(plan.plain), guard)
        refuse_to_fetch(settings)
        rung = choose_rung(program, new_privileges=settings.new_privileges)
        files = None
        if plan.files:
            from wrapper.files.launch_files import Files

            files = Files(plan.files)  # looks at the directories, before anything is fetched
            guard.on_failure(files.remove)
        tracer = None
        if rung == RUNG_PTRACE:
            from strongroom.linux import set_dumpable
            from wrapper.static.start import start_tracer

            set_dumpable()  # its own child could not attach otherwise; there is no secret yet
            tracer = start_tracer()
            _load_all()  # it gets ready meanwhile
            tracer.wait_attached()

        from strongroom.linux import set_not_dumpable

        set_not_dumpable()
        harden(settings)
        from wrapper.memory import SecretMemory

        memory = SecretMemory(settings.require)
        # What waits for the network is begun before what is needed next is loaded: connecting before OpenSSL, the
        # handshake before what looks at dates, the request before what checks its answer.
        beginning = _begin(settings)
        from wrapper.fetch.bridge import Bridge

        bridge = Bridge(settings, beginning)
        _warn_of_end(settings)
        _fetch(bridge, plan, memory, files)
        file_values = files.hand_over() if files else {}
        environment = self._environment(memory, rung, file_values)
        held = tracer.instruct(memory, settings) if tracer else ()
        if files:
            files.put_in_place()
        if tracer and settings.children != "inherit" and not settings.quiet:
            # Nothing wraps what such a program calls, so it passes its environment on as it is.
            ends = f"--children {settings.children} ends where it starts others"
            say(f"warning: {program.binary} loads no library: {ends}")
        if not settings.quiet:
            count = len(environment.keys() - plan.plain.keys() - file_values.keys() - _ADDED)
            placed = _where(count, f"{memory.rung} memory by {rung}", len(file_values))
            say(f"{placed}, {(monotonic() - started) * 1000:.0f} ms")
        self._look_again(program, rung)
        become(program, environment, guard, held)

    def _look_at(self, program: "Program") -> None:
        """Refuse or warn of what would not go as its owner thinks.

        Raises:
            ConfigError: programs are to have secrets, and a variable is named.
        """
        settings = self.settings
        if settings.children.startswith("allow:"):
            from wrapper.exposure import check_allowed

            check_allowed(settings, self.plan.names, self.environ.get("PATH", ""))
        if settings.quiet:
            return
        _warn_of_privileges(program, settings)
        if os.getpid() == 1:
            _warn_of_shell(program, self.command)

    def _environment(self, memory: "SecretMemory", rung: str, file_values: "Mapping[str, str]") -> dict[str, str]:
        """Check the region completely and return the environment that goes with it.

        A static program needs neither library nor region itself; both are for the dynamic programs that it may start.

        Raises:
            IntegrityError: the bridge sent something else than a region.
            ProtectionError: the library cannot be loaded.
        """
        from strongroom.launch.region import read_slots

        assert memory.mapping is not None  # noqa: S101 - it was fetched into
        settings = self.settings
        slots = read_slots(memory.mapping)
        value_bytes = {name: end - offset - len(name) - 1 for name, (_, offset, end) in slots.items()}
        environment = self.plan.environment(list(slots), file_values)
        if settings.dumpable:
            environment["STRONGROOM_DUMPABLE"] = "1"
        if rung == RUNG_PTRACE and settings.children == "deny":
            return with_padding(environment, value_bytes)
        library = usable_library()
        earlier = environment.get("LD_PRELOAD")
        environment["LD_PRELOAD"] = f"{library}:{earlier}" if earlier else library
        environment["STRONGROOM_REGION"] = f"{memory.rung}:{memory.seal()}"
        if settings.children != "inherit":
            environment["STRONGROOM_CHILDREN"] = settings.children
        return with_padding(environment, value_bytes)

    def _look_again(self, program: "Program", rung: str) -> None:
        """Refuse what replaced the program while its secrets were fetched if they do not reach it by this rung."""
        there_now = find_program([program.path], self.environ)
        if choose_rung(there_now, new_privileges=self.settings.new_privileges) != rung:
            msg = f"{program.path}: was replaced by a program of another kind while its secrets were fetched"
            raise ProtectionError(msg, hint="start it again when it is complete")


def _where(count: int, memory: str, in_files: int) -> str:
    """Return how many secrets are where."""
    first, behind = (count, f"in {memory}") if count or not in_files else (in_files, "in files")
    more = f", {in_files} in files" if count and in_files else ""
    return f"{first} secret{'' if first == 1 else 's'} {behind}{more}"


def _warn_of_privileges(program: "Program", settings: "WrapperSettings") -> None:
    """Say beforehand what the program itself can only report as a failure of its own."""
    if settings.new_privileges:
        return
    what = without_effect(program.binary)
    if what:
        way = "give ambient ones (setpriv --ambient-caps)" if what == "file capabilities" else "see --new-privileges"
        say(f"warning: {program.binary}: its {what} will have no effect, since nothing gains privileges here; {way}")


def _warn_of_shell(program: "Program", command: list[str]) -> None:
    """Say that a shell as PID 1 does not end on SIGTERM (signal(7), pid_namespaces(7)), unless all it does is exec."""
    is_shell = program.path.rpartition("/")[2] in _SHELLS and "-c" in command[1:-1]
    if is_shell and not command[-1].lstrip().startswith("exec "):
        say("warning: a shell as PID 1 neither ends on SIGTERM nor passes it on: --supervise, or exec in its script")


def _load_all() -> None:
    """Import what the steps up to the answer do."""
    import wrapper.fetch.bridge
    import wrapper.memory  # noqa: F401


def _load_the_rest() -> None:
    """Import what the steps from the answer on do."""
    import preload  # noqa: F401
    import strongroom.launch.region  # noqa: F401


def _begin(settings: "WrapperSettings") -> "Beginning | None":
    """Take the first steps to the bridge; None where that is too early, or cannot be done, which is told later."""
    from wrapper.fetch.addresses import Beginning
    from wrapper.fetch.http import Url

    if not all(map(os.path.exists, (settings.ca, settings.cert, settings.key))):
        return None  # they are waited for, and the bridge would be kept waiting
    try:
        url = Url(settings.bridge)
    except ConfigError:
        return None
    return Beginning(url.host.encode("ascii"), url.port)


def _fetch(bridge: "Bridge", plan: "LaunchPlan", memory: "SecretMemory", files: "Files | None") -> None:
    """Have the bridge's answer put where it belongs: a region into the memory, files into their own."""
    from strongroom.launch.bundle import BUNDLE_URL_PATH, FILES_MEDIA_TYPE

    if files:
        bridge.fetch(
            BUNDLE_URL_PATH,
            plan.request,
            lambda body: files.receive(body, memory),
            media_type=FILES_MEDIA_TYPE,
            meanwhile=_load_the_rest,
        )
    else:
        bridge.fetch(BUNDLE_URL_PATH, plan.request, memory.receive, meanwhile=_load_the_rest)


def _warn_of_end(settings: "WrapperSettings") -> None:
    """Say that our certificate ends soon, while launches still succeed."""
    if settings.quiet:
        return
    from strongroom.validity import read_validity, warning_of_end

    validity = read_validity(settings.cert)
    if validity and validity.ends_soon(time()):
        say(f"warning: {warning_of_end(settings.cert, validity)}")


def refuse_to_fetch(settings: "WrapperSettings") -> None:
    """Refuse what would make it wrong to ask for a secret.

    Raises:
        StrongroomError: there is no bridge to ask, or others could learn the secrets.
    """
    if not settings.bridge:
        msg = "STRONGROOM_BRIDGE is not set, and the environment refers to secrets"
        raise ConfigError(msg, hint="set it to the address of the bridge, for example https://bridge:8443")
    if settings.require_yama:
        from wrapper.exposure import require_yama

        require_yama()
