"""Which Python modules go into a bundle, found by importing them, and their bytecode.

Both are done by fresh interpreters: what this process has imported must not decide what a bundle holds, nor which of
its strings marshal takes for shared.
"""

import importlib.util
import pkgutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bundle.imports import closure
from bundle.interpreter import Interpreter

OWN_PACKAGES = ("bundle", "cli", "doctor", "preload", "strongroom", "wrapper")

START = "cli.bundled"

# Where the code of bundled.VERBS begins, beside the wrapper's. The first of these finds the verbs.
_ROOTS = ("cli.main", START, "bundle.install", "doctor.main")

# Imported while running, so that importing everything does not show them: codecs (idna for host names, RFC 3490), what
# prints warnings and errors, and what functions of the standard library import when they are called.
_HIDDEN_IMPORTS = (
    "_strptime",
    "calendar",
    "encodings.aliases",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.utf_8",
    "linecache",
    "os",
    "traceback",
    "warnings",
)

# cli/bundled.py answers `version` itself; the rest of cli.main needs none of these.
_LEFT_OUT = frozenset({"importlib.metadata"})

# Opened by the C library while running, so no header shows them: name services, which are part of libc itself since
# glibc 2.34, and what pthread_exit(3) unwinds with.
_HIDDEN_LIBRARIES = ("libgcc_s.so.1", "libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2")

_TRACE = """
import sys
names, members, libraries = (text.split() for text in sys.stdin.read().split(";"))
sys.path += sys.argv[1:]
for name in names:
    __import__(name)
for name in members:
    try:
        __import__(name)
    except ModuleNotFoundError:
        pass
import _ctypes
for name in libraries:
    try:
        _ctypes.dlopen(name, 0)
    except OSError:
        pass
for name, module in sorted(sys.modules.items()):
    spec = getattr(module, "__spec__", None)
    if spec is None or spec.name != name or spec.origin == "built-in" or name.startswith("_frozen"):
        continue
    origin = spec.origin
    if origin == "frozen":
        inside = getattr(spec.loader_state, "origname", None) or name
        inside = inside.lstrip("<").replace(".", "/")
        package = spec.submodule_search_locations is not None
        origin = sys._stdlib_dir + "/" + inside + ("/__init__.py" if package else ".py")
    print("module", name, origin)
with open("/proc/self/maps") as maps:
    for line in maps:
        words = line.split(maxsplit=5)
        if len(words) == 6 and words[5].startswith("/"):
            print("object", "-", words[5].rstrip())
"""

_COMPILE = """
import py_compile
import sys
for line in sys.stdin:
    source, shown, target = line.rstrip("\\n").split("\\t")
    py_compile.compile(source, target, shown, doraise=True, optimize=0,
                       invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
"""


@dataclass(frozen=True)
class Traced:
    """What an interpreter had loaded after importing everything that a bundle needs.

    Attributes:
        sources: the source file of each module that has one.
        extensions: the shared object of each module that is one.
        objects: every file that was mapped.
    """

    sources: Mapping[str, Path]
    extensions: Mapping[str, Path]
    objects: tuple[Path, ...]


def trace(interpreter: Interpreter) -> Traced:
    """Import everything in a fresh process of an interpreter and look at what was loaded.

    Raises:
        ConfigError: it lacks a module.
    """
    own, beyond = closure([*_ROOTS, *_modules_of("wrapper")], _own_source)
    names = (own | beyond.modules | set(_HIDDEN_IMPORTS)) - _LEFT_OUT - {START}
    members = {name for name in beyond.members if name.rpartition(".")[0] not in _LEFT_OUT}
    words = [sorted(names), sorted(members), _HIDDEN_LIBRARIES]
    paths = sorted({_root_of(package) for package in OWN_PACKAGES})
    output = interpreter.run(_TRACE, *paths, text=";".join("\n".join(part) for part in words))
    sources: dict[str, Path] = {START: _find(START)}
    extensions: dict[str, Path] = {}
    objects: dict[Path, None] = {}
    for line in output.splitlines():
        kind, name, text = line.split(" ", 2)
        path = Path(text)
        if kind == "object":
            objects[path] = None
        elif path.suffix == ".so":
            extensions[name] = path
        elif path.is_file():
            sources[name] = path
    return Traced(sources, extensions, tuple(objects))


def compile_all(interpreter: Interpreter, sources: Mapping[str, Path]) -> dict[str, bytes]:
    """Return the bytecode file of each module, by its path below the library directory.

    The files say that their source need not be looked for (PEP 552, unchecked hashes).
    """
    with tempfile.TemporaryDirectory(prefix="strongroom-bundle-") as directory:
        lines, targets = [], {}
        for number, (name, source) in enumerate(sorted(sources.items())):
            inside = name.replace(".", "/") + ("/__init__.py" if source.name == "__init__.py" else ".py")
            target = Path(directory, str(number))
            lines.append(f"{source}\t{inside}\t{target}\n")
            targets[inside + "c"] = target
        interpreter.run(_COMPILE, text="".join(lines))
        return {inside: target.read_bytes() for inside, target in targets.items()}


def _modules_of(package: str) -> list[str]:
    spec = importlib.util.find_spec(package)
    locations = list(spec.submodule_search_locations or []) if spec else []
    found = pkgutil.walk_packages(locations, f"{package}.")
    return [package, *(module.name for module in found if not module.name.endswith(".__main__"))]


def _own_source(name: str) -> tuple[str, bool] | None:
    if name.partition(".")[0] not in OWN_PACKAGES:
        return None
    try:
        path = _find(name)
    except ModuleNotFoundError:
        return None
    return path.read_text(encoding="utf-8"), path.name == "__init__.py"


def _find(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(name)
    return Path(spec.origin)


def _root_of(package: str) -> str:
    return str(_find(package).parent.parent)
