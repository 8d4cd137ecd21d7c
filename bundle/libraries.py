"""Which shared libraries a bundle needs, and copies of them that use nothing of the image they run in."""

from collections.abc import Iterable
from pathlib import Path

from bundle import elf
from strongroom.elf import ElfError
from strongroom.errors import ConfigError

# Files of the image that glibc would read on its own account. The first brings foreign libraries into every program,
# and there is no other way to switch it off; the second decides which libraries resolve names. Without it glibc asks
# /etc/hosts and then DNS, both with code of its own.
_NOT_TO_BE_READ = (b"/etc/ld.so.preload\0", b"/etc/nsswitch.conf\0")


def find_libraries(programs: Iterable[Path], loaded: Iterable[Path]) -> dict[str, Path]:
    """Return the libraries that the programs need, and those that these need, by the name under which they are needed.

    Args:
        programs: the interpreter and its extension modules.
        loaded: files among which the libraries are, as an interpreter had them mapped. What nobody needs by name is
            left out, except what the C library opens while running.

    Raises:
        ConfigError: a library is not among them.
    """
    by_name: dict[str, Path] = {}
    for path in loaded:
        headers = _headers(path)
        if headers:
            by_name.setdefault(headers.soname or path.name, path)
    found: dict[str, Path] = {}
    waiting = [name for path in programs for name in needed_by(path)]
    waiting += [name for name in by_name if name.startswith(("libgcc_s.", "libnss_", "libresolv."))]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        if name not in by_name:
            msg = f"{name}: this library was needed by name but not loaded"
            raise ConfigError(msg, hint="install the package that has it")
        found[name] = by_name[name]
        waiting += needed_by(found[name])
    return found


def loader_of(interpreter: Path) -> Path:
    """Return the dynamic loader that a program asks for.

    Raises:
        ConfigError: it is static, or not made for glibc.
    """
    headers = _headers(interpreter)
    path = Path(headers.interpreter) if headers else Path()
    if not path.name.startswith("ld-linux"):
        msg = f"{interpreter}: is not a dynamically linked program for glibc, and only those can be bundled"
        raise ConfigError(msg, hint="run strongroom bundle with the Python of a glibc distribution, such as Debian's")
    return path


def own_copy(path: Path) -> bytes:
    """Return the content of a program or library for the bundle.

    Raises:
        ConfigError: it is not a file of this kind.
    """
    try:
        data = elf.relocatable(path.read_bytes())
    except ElfError as error:
        raise ConfigError(f"{path}: {error}", hint="install the package that has it anew") from None
    for name in _NOT_TO_BE_READ:
        # As an empty name, which no file has; the bytes are constants of the loader and of libc.
        data = data.replace(b"\0" + name, b"\0" * (len(name) + 1))
    return data


def needed_by(path: Path) -> tuple[str, ...]:
    """Return the libraries that a program or library asks for by name; none if it is neither."""
    headers = _headers(path)
    return headers.needed if headers else ()


def _headers(path: Path) -> elf.Elf | None:
    try:
        return elf.read(path.read_bytes())
    except (ElfError, OSError):
        return None
