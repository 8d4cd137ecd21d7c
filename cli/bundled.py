"""The first Python code of a bundle, started by its launcher (``preload/src/launch/launch.c``).

Gives back what the launcher took away to get here: the signals that it holds and the environment that it hid. Then it
is the ``strongroom`` command. Runs as a program, with ``sys.argv`` = [this file, signals, VERB, ARG...].
"""

# Nothing here may import os before the environment is back: os.environ is made then, from posix.environ.
import _signal  # type: ignore[import-not-found]  # signal imports enum, in 4 ms
import marshal
import posix
import sys
from _frozen_importlib import ModuleSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

HIDDEN = b"."  # in front of each variable; the launcher knows it too

# The launcher leaves it as it is, because LC_ALL decides: the wrapper looks for it in the block that the kernel keeps.
_NOT_HIDDEN = b"LC_CTYPE"

# What the C library of the bundle shall know of the environment: how names are resolved (resolv.conf(5)).
_FOR_THE_RESOLVER = (b"LOCALDOMAIN", b"RES_OPTIONS")

VERBS = ("run", "exec", "plan", "doctor", "bundle", "version")
"""What a bundle can do; modules.py names where their code is."""


def main() -> int:
    """Run one verb and return its exit status."""
    start, held, *words = sys.argv
    take_signals([int(number) for number in held.split(",") if number.isdigit()])
    restore_environment()
    directory = start[: -len("/lib/start.pyc")]
    sys.meta_path.insert(0, LaunchModules(directory))
    # For anyone who starts this program anew, as supervision does: by its launcher.
    sys.executable = f"{directory}/strongroom"
    sys.argv = sys.orig_argv = [sys.executable, *words]
    if words[:1] in (["version"], ["--version"]):
        from bundle.manifest import read_manifest

        sys.stdout.write(f"strongroom {read_manifest(directory).version}\n")
        return 0
    if words[:1] == ["bundle"]:
        from bundle.install import main as install
        from bundle.manifest import read_files, read_manifest

        return install(words[1:], lambda: read_files(directory, read_manifest(directory)))
    from cli import main as command

    return command.main(words, lacking=frozenset(command.VERBS).difference(VERBS))


class LaunchModules:
    """Finds the modules that a launch imports, which are in one file (``bundle.launch_modules``)."""

    def __init__(self, directory: str) -> None:
        """Read the file of the bundle in a directory."""
        with open(f"{directory}/lib/launch.marshal", "rb") as file:  # noqa: PTH123 - pathlib is slow to import
            self._modules: dict[str, tuple[str, bytes]] = marshal.load(file)  # noqa: S302 - of this bundle
        major, minor = sys.version_info[:2]
        self._folder = f"{directory}/{sys.platlibdir}/python{major}.{minor}/"

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Return where a module is, or None if it is not in the file."""
        if name not in self._modules:
            return None
        place = self._folder + self._modules[name][0]
        folder, _, file = place.rpartition("/")
        spec = ModuleSpec(name, self, origin=place, is_package=file == "__init__.pyc")  # type: ignore[arg-type]
        spec.has_location = True
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(folder)  # of the modules that are not in the file
        return spec

    def create_module(self, _spec: ModuleSpec) -> None:
        """Have Python make an ordinary one."""

    def exec_module(self, module: "ModuleType") -> None:
        """Run a module's code in it."""
        exec(marshal.loads(self._modules[module.__name__][1]), module.__dict__)  # noqa: S102, S302 - of this bundle


def take_signals(held: list[int]) -> None:
    """Let in the signals that the launcher holds, to end this process; on PID 1 they would do nothing (signal(7)).

    What the parent has this process ignore stays ignored.
    """
    for number in held:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, _end)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, held)


def _end(received: int, _frame: object) -> None:
    posix._exit(128 + received)  # noqa: SLF001 - its public name is in os


def restore_environment() -> None:
    """Make ``posix.environ`` what the launcher was given."""
    environ = posix.environ
    given = {
        name.removeprefix(HIDDEN): value
        for name, value in environ.items()
        if name.startswith(HIDDEN) or name == _NOT_HIDDEN
    }
    environ.clear()
    environ.update(given)
    for name in _FOR_THE_RESOLVER:
        if name in given:
            posix.putenv(name, given[name])


if __name__ == "__main__":
    sys.exit(main())
