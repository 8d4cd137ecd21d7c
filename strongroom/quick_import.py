"""Imports our own modules as Python does, with half of its steps: for launches of an installed command.

Python looks for a module along ``sys.path``, and at the times of directories and of the source. Here one file is opened
where the bytecode must be (PEP 3147), and compared with one look at the source. Whatever is not exactly so is left to
Python: a module without bytecode, or with a newer source. A bundle has one file for all (``cli.bundled``).
"""

import marshal
import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

_PACKAGES = frozenset({"cli", "preload", "strongroom", "wrapper"})
_BY_TIME = bytes(4)  # flags of bytecode that holds the time and size of its source (PEP 552)
_HEADER_BYTES = 16


class QuickImport:
    """Finds and loads the modules of a launch below one directory."""

    __slots__ = ("_code", "_home", "_suffix")

    def __init__(self, home: str) -> None:
        """Take the directory that holds our packages."""
        self._home = home
        self._suffix = f".{sys.implementation.cache_tag}.pyc"
        self._code: dict[str, memoryview] = {}

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Return where a module of ours is and keep its bytecode, or None to leave it to Python."""
        if name.partition(".")[0] not in _PACKAGES:
            return None
        place = f"{self._home}/{name.replace('.', '/')}"
        folder, _, stem = place.rpartition("/")
        return self._look(name, folder, stem) or self._look(name, place, "__init__")

    def _look(self, name: str, folder: str, stem: str) -> ModuleSpec | None:
        source = f"{folder}/{stem}.py"
        try:
            with open(f"{folder}/__pycache__/{stem}{self._suffix}", "rb", 0) as file:  # noqa: PTH123 - slow to import
                data = file.read()
            found = os.stat(source)  # noqa: PTH116
        except OSError:
            return None
        time_and_size = [
            (int(number) & 0xFFFF_FFFF).to_bytes(4, "little") for number in (found.st_mtime, found.st_size)
        ]
        if data[:_HEADER_BYTES] != b"".join([MAGIC_NUMBER, _BY_TIME, *time_and_size]):
            return None
        self._code[name] = memoryview(data)[_HEADER_BYTES:]
        is_package = stem == "__init__"
        spec = ModuleSpec(name, self, origin=source, is_package=is_package)  # type: ignore[arg-type]
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [folder]
        return spec

    def create_module(self, _spec: ModuleSpec) -> None:
        """Have Python make an ordinary one."""

    def exec_module(self, module: "ModuleType") -> None:
        """Run a module's code in it."""
        exec(marshal.loads(self._code.pop(module.__name__)), module.__dict__)  # noqa: S102, S302 - as Python does
