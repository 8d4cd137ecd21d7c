"""What goes into a bundle, and where in it.

::

    strongroom           starts the rest (preload/src/launch/launch.c)
    manifest.json
    bin/python3          the interpreter
    lib/ld.so            its dynamic loader
    lib/*.so.*           its libraries
    lib/start.pyc        its first code
    lib/launch.marshal   the modules of a launch
    lib/python3.X/       modules, and the native parts of the wrapper in preload/lib/
"""

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bundle import launch_modules
from bundle.interpreter import choose
from bundle.libraries import find_libraries, loader_of, own_copy
from bundle.manifest import LAUNCHER, MANIFEST, File, describe
from bundle.modules import START, compile_all, trace
from preload import MACHINES, LibraryError, native_path
from strongroom.errors import ConfigError

_INTERPRETER = "bin/python3"
_LOADER = "lib/ld.so"
_START = "lib/start.pyc"
_LAUNCH = "lib/launch.marshal"
_NATIVE_LAUNCHER = "strongroom-launch"
_NATIVE = ("libstrongroom.so", "strongroom-init", "strongroom-tracer", _NATIVE_LAUNCHER)


def collect() -> dict[str, File]:
    """Return the files of a bundle made of this very Strongroom and the interpreter that ``choose`` finds, by path.

    Raises:
        ConfigError: that cannot be bundled, or the native programs are not built.
    """
    machine = os.uname().machine
    if machine not in MACHINES:
        msg = f"no bundle can be made for {machine}; there is one for {' and '.join(MACHINES)}"
        raise ConfigError(msg, hint="make it on a machine of that kind")
    interpreter = choose()
    loader = loader_of(interpreter.program)
    traced = trace(interpreter)
    libraries = find_libraries([interpreter.program, *traced.extensions.values()], traced.objects)

    modules = interpreter.modules
    bytecode = compile_all(interpreter, traced.sources)
    start = bytecode.pop(START.replace(".", "/") + ".pyc")
    files = {
        _INTERPRETER: File(
            own_copy(interpreter.program), is_program=True, origin=f"{interpreter.program}, {interpreter.version}"
        ),
        _LOADER: File(own_copy(loader), is_program=True),
        _START: File(start),
        _LAUNCH: File(launch_modules.join(bytecode)),
    }
    for path, data in bytecode.items():
        files[f"{modules}/{path}"] = File(data)
    for source in traced.extensions.values():
        files[f"{modules}/lib-dynload/{source.name}"] = File(own_copy(source))
    loader_name = loader.resolve().name
    for name, source in libraries.items():
        if source.resolve().name != loader_name:  # it knows itself by this name
            files[f"lib/{name}"] = File(own_copy(source))
    for source in _native_files():
        inside = LAUNCHER if source.name == _NATIVE_LAUNCHER else f"{modules}/preload/lib/{machine}/{source.name}"
        files[inside] = File(source.read_bytes(), is_program=source.suffix != ".so")
    manifest = describe(files, version=_own_version(), python=interpreter.version, machine=machine)
    return {**files, MANIFEST: File(manifest.encode(files))}


def _own_version() -> str:
    try:
        return version("strongroom")
    except PackageNotFoundError:
        msg = "this strongroom runs from its source without being installed, so it has no version"
        raise ConfigError(msg, hint="install it: pip install --editable .") from None


def _native_files() -> list[Path]:
    try:
        return [Path(native_path(name)) for name in _NATIVE]
    except LibraryError as error:
        raise ConfigError(str(error), hint="make bundles on a machine where Strongroom itself is complete") from None
